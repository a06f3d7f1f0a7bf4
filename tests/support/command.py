"""What the command says on standard error, but for the one line about kernels where it was installed without them."""

from __future__ import annotations

from recurrio.core.base.compiled import MISSING

__all__ = ["without_notice"]

NOTICE = f"recurrio: {MISSING}\n".encode()


def without_notice(errors: bytes) -> bytes:
    """`errors` without that line; tests/test_install.py is about it."""
    return errors.replace(NOTICE, b"", 1) if MISSING else errors
