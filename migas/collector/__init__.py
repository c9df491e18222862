"""A migas server of our own, for labs, tests and demonstrations.

It stands beside the client and shares only `migas.message` with it; of the client, only
the command line imports it. Its libraries come with the extra `collector`.
"""
