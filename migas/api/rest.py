"""What newer clients send by REST."""

from __future__ import annotations

from migas.calls import add_breadcrumb

__all__ = ["add_breadcrumb"]
