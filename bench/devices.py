"""Which device computes, and what of it decides the bits of what is learned."""

from __future__ import annotations

CPU = "cpu"


def is_cpu(device: str) -> bool:
    return device.partition(":")[0] == CPU


def kind(device: str) -> str:
    """Devices of one kind give the same bits: ``cpu``, or the type with the model of a GPU, without its number."""
    type_ = device.partition(":")[0]
    if type_ != "cuda":
        return type_
    import torch

    return f"{type_} {torch.cuda.get_device_name(device)}"


def key(device: str) -> tuple[str, ...]:
    """What the key of something learned there says of the device. The CPU is the reference, and says nothing."""
    return () if is_cpu(device) else (kind(device),)


def available() -> str:
    """Where a run of this process would compute."""
    import torch

    return "cuda" if torch.cuda.is_available() else CPU
