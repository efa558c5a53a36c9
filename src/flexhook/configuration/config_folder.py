"""Where the configurations lie."""

from __future__ import annotations

from pathlib import Path

import flexhook
from flexhook.errors import ConfigError


def config_folder() -> Path:
    """The folder of configurations: inside the installed package, or ``conf/`` of the repository it is run from.

    Raises:
        ConfigError: It is in neither place.
    """
    package = Path(flexhook.__file__).resolve().parent
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError("the configurations are not where they belong", file=package / "conf", expected="train.yaml in it",
                      hint="Install the package again")
