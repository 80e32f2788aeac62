"""Environments and acting, without Ray: back ends, vectorised games, task switches, records."""
