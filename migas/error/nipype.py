"""The door that released clients' programs use: what describes nipype's exceptions."""

from migas.tracking.nipype import node_execution_error

__all__ = ["node_execution_error"]
