"""Trained agents live in a browser, through MuJoCo Studio.

``physics`` reaches into an environment, ``player`` plays an agent in it, ``session`` plays one or two agents on the
same episode and does what the spectator asks. ``studio``, ``panel`` and ``view`` know MuJoCo Studio and nothing of
agents, so that the page is served before PyTorch is imported; ``loopback`` keeps Studio from the network.
"""
