"""Reads source files: where to read, when, and what. They are the only thing that users edit.

A file is either valid in every field or refused with all of its problems, each with file, line, field and
what to write instead.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from pydantic import (
    ValidationError,
)

from tributary.config import messages, yaml_positions
from tributary.config.models import Source
from tributary.errors import ConfigError
from tributary.model import warehouse_names

SIZE_BYTES_AT_MOST = 2 << 20  # of a file: 20,000 tables by name
READABLE_SECRETS = "tributary/"  # in a file: the stack's SecretPrefix, of the names that functions may read


def load(path: Path, *, secret_prefix: str = READABLE_SECRETS) -> Source:
    """Return the source that the file describes; raises ConfigError, one line per problem."""
    marked = yaml_positions.read(_text(path))
    if not marked.problems and not isinstance(marked.value, dict):
        marked.problems.append(
            yaml_positions.Problem(1, (), "is not a mapping; write engine, secret and tables")
        )
    if isinstance(marked.value, dict):
        source = _validated(path.stem, marked, secret_prefix)
        if source is not None and not marked.problems:
            return source
    raise ConfigError("\n".join(messages.lines(path.name, marked.problems)))


def _text(path: Path) -> str:
    content = path.read_bytes()
    if len(content) > SIZE_BYTES_AT_MOST:
        raise ConfigError(
            f"{path.name}: has more than {SIZE_BYTES_AT_MOST >> 20} MiB; use include with patterns"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path.name}, line {line}: is not UTF-8 text; save it as UTF-8") from None


def _validated(name: str, marked: yaml_positions.Marked, secret_prefix: str) -> Source | None:
    """Return the source, or None after adding what is wrong to the problems."""
    if "name" in marked.value:
        message = "the file's name is the source's name; remove this line"
        marked.problems.append(yaml_positions.Problem(marked.line(("name",)), ("name",), message))
    try:
        source = _of_stack(Source(**{**marked.value, "name": name}), secret_prefix)
        if not source.may_read_secret(secret_prefix):
            message = (
                f"functions may only read secrets whose name begins with {secret_prefix}; rename the secret"
            )
            marked.problems.append(yaml_positions.Problem(marked.line(("secret",)), ("secret",), message))
        return source
    except ValidationError as error:
        marked.problems += messages.problems(error, marked)
        return None
    except UnicodeEncodeError:  # a message would repeat it: YAML reads \ud800\udc00 as two halves
        message = "a text has half of a character; write the character itself, or \\U and its eight digits"
        marked.problems.append(yaml_positions.Problem(marked.line(()), (), message))
        return None


def _of_stack(source: Source, secret_prefix: str) -> Source:
    """Return the source with its secret's full name: `tributary/shop` in a file is `tributary-dev/shop`."""
    relative = source.secret.removeprefix(READABLE_SECRETS)
    if relative == source.secret:
        return source
    return source.model_copy(update={"secret": secret_prefix + relative})


def load_all(directory: Path, *, secret_prefix: str = READABLE_SECRETS) -> dict[str, Source]:
    """Return the sources of the directory by name, {} if it has no source file.

    Raises ConfigError with every problem of every file.
    """
    sources: dict[str, Source] = {}
    files, problems = _files(directory)
    for path in files:
        try:
            sources[path.stem] = load(path, secret_prefix=secret_prefix)
        except ConfigError as error:
            problems.append(str(error))
    problems += _collisions(list(sources.values()))
    if problems:
        raise ConfigError("\n".join(problems))
    return sources


def _collisions(sources: list[Source]) -> list[str]:
    """Return a problem for each source whose tables could collide with another's in the warehouse."""
    problems = []
    for source in sources:
        like = next(one for one in sources if one.name.lower() == source.name.lower())
        if like is not source:
            problems.append(
                f"{source.name}.yaml: its name differs from {like.name}.yaml in case alone, and names in the "
                "warehouse ignore case; rename one of them"
            )
        first = next(one for one in sources if one.target_schema == source.target_schema)
        if first is not source:
            problems.append(
                f'{source.name}.yaml, target_schema: "{source.target_schema}" is the target_schema of '
                f"{first.name}.yaml too, so their tables could collide; write another one in one of them"
            )
        for number, entry in enumerate(source.tables):
            owner = next((one for one in sources if entry.target and _within(entry.target, one)), None)
            if owner is not None:
                problems.append(
                    f'{source.name}.yaml, tables[{number}].target: the schema of "{entry.target}" is the '
                    f"target_schema of {owner.name}.yaml, whose own tables could collide "
                    "with it; write a schema that is no source's target_schema"
                )
    return problems


def _within(target: str, source: Source) -> bool:
    return warehouse_names.shared_target(target).schema == source.target_schema


def find(directory: Path, name: str, *, secret_prefix: str = READABLE_SECRETS) -> Source:
    """Return the source of that name, reading its file alone; raises ConfigError if there is none."""
    entries, misnamed = _files(directory)
    files = {path.stem: path for path in entries}
    if name not in files and misnamed:
        raise ConfigError("\n".join(misnamed))
    if not files:
        raise ConfigError(
            f"there is no source file in {directory.name}/; copy shop.yaml.example to <name>.yaml and edit it"
        )
    if name not in files:
        close = difflib.get_close_matches(name, files, n=1)
        hint = f'did you mean "{close[0]}"? ' if close else ""
        raise ConfigError(f'source "{name}" is not known; {hint}the sources are {", ".join(files)}')
    return load(files[name], secret_prefix=secret_prefix)


def _files(directory: Path) -> tuple[list[Path], list[str]]:
    """Return the source files in name order, and a problem for each one that is misnamed."""
    entries = sorted(directory.iterdir()) if directory.is_dir() else []
    files = [path for path in entries if path.is_file() and not path.name.startswith(".")]
    misnamed = [
        f"{path.name}: a source file ends in .yaml; rename it to {path.stem}.yaml"
        for path in files
        if path.suffix != ".yaml" and path.suffix.lower() in (".yaml", ".yml")
    ]
    return [path for path in files if path.suffix == ".yaml"], misnamed
