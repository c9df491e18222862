"""The door that released clients' programs use: what describes nipype's exceptions."""

from migas.tracking.nipype import MAX_TRACEBACK_SIZE, node_execution_error

__all__ = ["MAX_TRACEBACK_SIZE", "node_execution_error"]
