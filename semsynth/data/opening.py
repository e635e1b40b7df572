"""The data module that a configuration names."""

from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from semsynth.data.base import SynthesisDataModule
from semsynth.data.errors import DataError
from semsynth.errors import UserError
from semsynth.files import read_yaml


def open_data(config: Path) -> SynthesisDataModule:
    """The data module of a configuration."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(SynthesisDataModule, "data")
    try:
        parsed = parser.parse_object({"data": data_of(config)})
        data: SynthesisDataModule = parser.instantiate_classes(parsed).data
    except (ArgumentError, ValueError) as error:
        raise DataError(f"The data of {config} cannot be opened: {error}") from error
    return data


def data_of(config: Path) -> object:
    """The data of an experiment, interpolations resolved."""
    try:
        content = read_yaml(config)
        values = OmegaConf.load(config) if isinstance(content, dict) else None
        node = values.get("data") if isinstance(values, DictConfig) else None
        if node is None:
            raise DataError(f"{config} has no key 'data'; give a data set with --data and --root.")
        return OmegaConf.to_container(node, resolve=True)
    except DataError:
        raise
    except (UserError, OmegaConfBaseException, YAMLError) as error:
        raise DataError(f"{config} cannot be read: {error}") from error
