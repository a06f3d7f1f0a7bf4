"""The compiled part of the core; all else is in pyproject.toml. Without a compiler NumPy does the same, slower."""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NAMES = ["adam", "forecast", "losses", "lstm", "module", "product", "rows", "scale", "transpose"]


class BuildIfPossible(build_ext):
    """An optional extension that could not be built is no output. Without this an editable install looks for it."""

    def get_outputs(self) -> list[str]:
        """What has been built."""
        return [path for path in super().get_outputs() if Path(path).exists()]

    def get_output_mapping(self) -> dict[str, str]:
        """What has been built, and where from."""
        return {path: source for path, source in super().get_output_mapping().items() if Path(source).exists()}


setup(
    cmdclass={"build_ext": BuildIfPossible},
    ext_modules=[
        Extension(
            "recurrio.core._kernels",
            [f"core/kernels/{name}.c" for name in NAMES],
            depends=["core/kernels/kernels.h"],
            extra_compile_args=["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"],
            optional=True,
        )
    ],
)
