"""Networks of the Hugging Face hub, from a folder or from its cache, never from the network."""

from pathlib import Path

from semsynth import weights

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def find_network(name: str, needed_for: str, remedy: str) -> Path:
    """File of weights of a network that has a folder of its own.

    Args:
        name: A folder, or the name of a repository on the hub that was fetched before.
        needed_for: What needs the network, for the error message.
        remedy: The switch that does without it, for the error message.

    Raises:
        MissingWeightsError: The network is not on this machine. It is not looked for elsewhere,
            because a machine without a connection would try for most of a minute.
    """
    own = Path(name).is_dir()
    folder = Path(name) if own else weights.find(f"hf:{name}", needed_for, remedy)
    for file in WEIGHTS:
        if (folder / file).is_file():
            return folder / file
    raise weights.MissingWeightsError(
        f"{needed_for} needs one of {', '.join(WEIGHTS)} in {folder}, and there is none; put it "
        f"there, or do without it: {remedy}.",
        [] if own else [f"hf:{name}"],
    )
