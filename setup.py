"""conf/ travels in the wheel, as zoo/configs; all else about the package stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConf(build_py):
    """Copies conf/ beside the modules of zoo. An editable install has none: there the checkout's is read."""

    def run(self):
        super().run()
        if not self.editable_mode:
            shutil.copytree("conf", Path(self.build_lib, "zoo", "configs"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithConf})
