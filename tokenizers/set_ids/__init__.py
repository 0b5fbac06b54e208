"""Sets of vectors as identifiers: every item is what its users and its text say of it, in no order.

``set/setrec`` follows SETRec (Lin et al., SIGIR 2025): a vector from a sequential recommender beside vectors that an
auto-encoder makes of the text, trained with the recommender. Its controls are ``set/cf-only`` and
``set/semantic-only``.
"""

from set_ids.schemes import CfOnly, CollaborativeSettings, SemanticOnly, SemanticSettings, SetRec, Settings

__all__ = ["CfOnly", "CollaborativeSettings", "SemanticOnly", "SemanticSettings", "SetRec", "Settings"]
