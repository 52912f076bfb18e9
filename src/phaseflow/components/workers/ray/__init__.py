"""Workers on a cluster of Ray.

``workers`` is the side of the service, which never imports Ray: a driver process does (``driver``), because Ray ends
the process that it lives in when its node dies, takes its signals, and needs some 150 MB. ``tasks`` runs on
the cluster.
"""
