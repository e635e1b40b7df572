"""``semsynth studio``: all three methods in a browser; help imports no torch."""

import argparse
import logging
import secrets
import socket
import sys
import threading
import webbrowser
from importlib.util import find_spec

from semsynth.errors import UserError

EPILOG = """\
Without files the toy models that ship are used, and nothing is downloaded.

  semsynth studio
  semsynth studio --clvae RUN/checkpoints/last.ckpt --layout priors/cat_layout.safetensors
  semsynth studio --host 0.0.0.0

Only this machine can reach the page. With another --host whoever opens it needs the token in the
address that is printed; put a proxy with TLS before it where the network is not yours.
"""
NEEDED = ("fastapi", "uvicorn", "websockets")
LOCAL = ("127.0.0.1", "localhost", "::1")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth studio",
        description="Paint, scribble and drag: all three methods in a browser.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    of_files = parser.add_argument_group("models in place of those that ship")
    of_files.add_argument(
        "--clvae", metavar="FILE", help="Paint: a checkpoint of CLVAE, trained or imported"
    )
    of_files.add_argument(
        "--fewshot",
        metavar="FILE",
        help="Scribble: a checkpoint of FewShotSMIS, or an imported encoder beside its prior",
    )
    of_files.add_argument(
        "--layout",
        metavar="FILE",
        help="Drag: a checkpoint of UserControllableLT, or an imported latent transformer",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: here)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860; 0 takes a free one")
    parser.add_argument("--device", default=None, help="default: cuda if there is one, else cpu")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.

    Raises:
        UserError: A package that the studio needs is not installed.
    """
    options = build_parser().parse_args(args)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(
            f"{', '.join(missing)} cannot be imported. Install what the studio needs with\n"
            "  pip install 'semsynth[studio]'"
        )
    with socket.create_server((options.host, options.port)) as listening:
        serve(options, listening)


def serve(options: argparse.Namespace, listening: socket.socket) -> None:
    """Load the models and serve the page until the process is interrupted."""
    import uvicorn  # these take seconds, and torch comes with them

    from semsynth.studio.messages import MAX_MESSAGE
    from semsynth.studio.models import Models
    from semsynth.studio.server import build_app

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # of trainings on the page
    models = Models.load(options.clvae, options.fewshot, options.layout, options.device)
    is_local = options.host in LOCAL
    token = "" if is_local else secrets.token_urlsafe(24)
    app = build_app(models, token, LOCAL if is_local else ())
    host = options.host if options.host not in ("0.0.0.0", "::") else socket.gethostname()
    address = f"http://{host}:{listening.getsockname()[1]}/{f'?token={token}' if token else ''}"
    sys.stdout.write(f"The studio is at {address}\nEnd it with Ctrl+C.\n")
    sys.stdout.flush()
    if options.open:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listening])
