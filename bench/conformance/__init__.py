"""What ``bench check`` proves: that a scheme keeps the requirements of ``bench.ids.scheme`` on a cut of real data.

``requirements`` lists them, ``fixtures`` holds what they are checked by, and ``bench.testing`` offers them to pytest.
"""
