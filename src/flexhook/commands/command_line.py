"""The command line of the Hydra applications: values as people write them, help per command, keys that nobody reads.

Hydra's grammar gives commas, brackets, blanks, ``=`` and ``$`` meanings of their own. Paths and sentences hold them, too: the
values of some keys are therefore taken literally and quoted for Hydra here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf

from flexhook.configuration.resolvers import config_folder
from flexhook.errors import ConfigError

#: Keys whose values are paths or sentences, literal unless they begin with ``[``.
LITERAL = ("video", "tracks", "ckpt", "ckpt_path", "run", "scores", "results", "out", "sentences", "trackeval", "data.root",
           "tracker.root", "cache_dir")
#: Groups whose parts take arguments that their yaml does not list.
OPEN = ("callbacks", "logger", "trainer", "hydra", "data")
_SWEEP = re.compile(r"(choice|range|interval|glob|shuffle|sort)\(.*\)", re.DOTALL)
_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)


def quote_literals(argv: Sequence[str]) -> list[str]:
    """The arguments with the values of :data:`LITERAL` keys quoted for Hydra.

    A value that begins with ``[`` (a list), is quoted already, or is ``null`` is left to Hydra. In a multirun a value that
    names no existing file is split at its commas, and ``glob(...)`` and the like keep their meaning.
    """
    multirun = any(arg in ("-m", "--multirun") for arg in argv)
    return [_quoted(arg, multirun) for arg in argv]


def _quoted(arg: str, multirun: bool) -> str:
    key, equals, value = arg.partition("=")
    if not equals or key.lstrip("+") not in LITERAL or value in ("", "null", "???"):
        return arg
    if value.startswith("[") or _QUOTED.fullmatch(value) or (multirun and _SWEEP.fullmatch(value)):
        return arg
    parts = value.split(",") if multirun and not Path(value).expanduser().exists() else [value]
    return f"{key}={','.join(map(_quote, parts))}"


def _quote(text: str) -> str:
    """A text between Hydra's single quotes; an interpolation in it is escaped."""
    escaped = re.sub(r"(\\*)'", lambda m: m[1] * 2 + r"\'", text)  # backslashes count before a quote only
    escaped = re.sub(r"\\+$", lambda m: m[0] * 2, escaped)
    return "'" + escaped.replace("${", r"\${") + "'"


def help_text(command: str) -> str:
    """What ``--help`` prints: the comments and keys of ``conf/<command>.yaml``, and the groups that it composes."""
    text = (config_folder() / f"{command}.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    at = next(k for k, line in enumerate(lines) if not line.startswith("#"))
    head = [line.lstrip("#").removeprefix(" ") for line in lines[:at]]
    body = text[text.index("\n\n") + 2 :] if "\n\n" in text else ""
    keys = body.partition("\nhydra:\n")[0].rstrip()
    groups = [f"  {name}={default}" + (f"   {note}" if note else "") + f"\n      one of {', '.join(_options(name))}"
              for name, default, note in _groups(lines)]  # fmt: skip
    return "\n".join([
        f"usage: flexhook {command} KEY=VALUE ...", "", *head, "", "keys:", *(f"  {line}" for line in keys.splitlines()), "",
        "groups:", *groups, "",
        "-m runs the command for several values (KEY=A,B), --cfg job prints the composed configuration, --config-dir FOLDER",
        "adds a folder with configurations of your own, --hydra-help tells more of Hydra.",
    ])  # fmt: skip


def _groups(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The groups of a configuration's defaults list: name, default, comment."""
    for line in lines:
        found = re.fullmatch(r"  - (\w+): (\S+)(?:\s+# (.*))?", line)
        if found:
            yield found[1], found[2], found[3] or ""


def _options(group: str) -> list[str]:
    """The options of a group; of one with folders, the folders."""
    folder = config_folder() / group
    files = sorted(path.stem for path in folder.glob("*.yaml"))
    return [*files, *(f"{path.name}/..." for path in sorted(folder.iterdir()) if path.is_dir())]


def check_appended(cfg: DictConfig, command: str, overrides: Sequence[str]) -> None:
    """Refuse appended keys (``+key=value``) that nobody reads.

    A part, which names its class, takes arguments that its yaml does not list, and so do :data:`OPEN` groups; an appended key
    anywhere else is a mistake.

    Args:
        cfg: The composed configuration.
        command: The command.
        overrides: The command's overrides.

    Raises:
        ConfigError: Naming the key and the nearest one that exists.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    for override in overrides:
        key, equals, value = override.removeprefix("+").partition("=")
        names = key.split(".")
        if not override.startswith("+") or key.startswith("+") or not equals or "@" in key or "/" in key or names[0] in OPEN:
            continue
        is_group = len(names) == 1 and isinstance(plain.get(key), dict)
        if not is_group and not _is_part_argument(plain, names):
            raise ConfigError(f"{override} appends a key that nobody reads", expected="a key that the command has",
                              hint=suggestion(key, value, [k for k in keys_of(plain) if k != key], command))


def explain_unknown_key(error: Exception, command: str) -> ConfigError | None:
    """A message for an override of a key that does not exist, with the nearest one; None for another error."""
    found = re.search(r"Could not override '([^']+)'", str(error))
    if not isinstance(error, ConfigCompositionException) or not found:
        return None
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        plain: Any = OmegaConf.to_container(compose(command), resolve=False)
    key = found[1]
    if key in keys_of(plain):  # there, but of another kind: Hydra's message says it
        return None
    hint = suggestion(key, "...", list(keys_of(plain)), command)
    return ConfigError(f"there is no key {key}", expected="a key that the command has", hint=hint)


def explain_unknown_option(error: Exception) -> ConfigError | None:
    """A message for an option that its group does not have, with those that it has; None for another error."""
    missing = error.missing_cfg_file if isinstance(error, MissingConfigException) else None
    folder, _, name = str(missing or "").removesuffix(".yaml").rpartition("/")
    place = config_folder() / folder
    if not folder or not place.is_dir():
        return None
    options = sorted(path.stem for path in place.glob("*.yaml"))
    close = difflib.get_close_matches(name, options, n=1)
    return ConfigError(f"there is no {folder}/{name}", expected=f"one of {', '.join(options)}",
                       hint=f"Did you mean {close[0]}?" if close else "One of your own goes into --config-dir FOLDER")


def suggestion(key: str, value: str, known: Sequence[str], command: str) -> str:
    """The nearest key, by its whole name or by its last part."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    last = [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]]
    near = close or last[:1] or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}={value}?" if near else f"`flexhook {command} --help` lists them"


def _is_part_argument(plain: Any, names: Sequence[str]) -> bool:
    """Whether a key is an argument of a part, or makes one."""
    node = plain
    for name in names:
        if isinstance(node, dict) and "_target_" in node:
            return True
        node = node.get(name) if isinstance(node, dict) else None
    return isinstance(node, dict) and "_target_" in node


def keys_of(plain: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a configuration as plain containers."""
    for name, part in plain.items() if isinstance(plain, dict) else ():
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key
        yield from keys_of(part, key)
