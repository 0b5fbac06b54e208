"""What ``bench check`` proves: that a scheme keeps the promises of ``bench.ids.scheme`` on a cut of real data.

``promises`` lists them, ``evidence`` holds what they are judged by, and ``bench.testing`` offers them to pytest.
"""
