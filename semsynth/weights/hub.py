"""Networks of the Hugging Face Hub, from folders, its cache or packages; nothing is downloaded."""

from pathlib import Path

from semsynth import weights

HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def find_timm(model: str, needed_for: str, remedy: str, choices: str) -> Path:
    """Weights of a timm model.

    Args:
        model: Its name.
        needed_for: What needs it, for the error message.
        remedy: The option that avoids it, for the error message.
        choices: What could be given instead of an unknown name, for the error message.
    """
    import timm

    config = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if config is None or not config.hf_hub_id:
        raise ValueError(
            f"timm has no pretrained model {model!r}; timm.list_pretrained() lists them. {choices}"
        )
    return find_network(config.hf_hub_id, needed_for, remedy)


def find_network(name: str, needed_for: str, remedy: str) -> Path:
    """Weights of a network in a folder, or in a cached repository of the hub.

    Nothing is downloaded: without a connection that would take most of a minute to fail.
    ``needed_for`` and ``remedy``, the option that avoids it, are for the error message.
    """
    own = Path(name).is_dir()
    folder = Path(name) if own else weights.find(f"hf:{name}", needed_for, remedy)
    if folder.is_file():  # from a package
        return folder
    for file in HUB_FILES:
        if (folder / file).is_file():
            return folder / file
    raise weights.MissingWeightsError(
        f"{needed_for} needs one of {', '.join(HUB_FILES)} in {folder}; put it there, or "
        f"do without it: {remedy}.",
        [] if own else [f"hf:{name}"],
    )
