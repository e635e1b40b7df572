"""``semsynth studio``: all three methods in a browser."""

import logging
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated

from semsynth.errors import UsageError, UserError

NEEDED = ("fastapi", "uvicorn", "websockets")
LOCAL = ("127.0.0.1", "localhost", "::1")


def studio(
    *,
    clvae: Sequence[str] = (),
    fewshot: Sequence[str] = (),
    layout: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 7860,
    device: str | None = None,
    open_page: Annotated[bool, "--open"] = False,
) -> None:
    """Paint, scribble and drag: all three methods in a browser.

    Without files it uses the shipped toy models; nothing is downloaded. With several files, the
    page has a choice.

      semsynth studio
      semsynth studio --clvae RUN/checkpoints/last.ckpt
      semsynth studio --layout priors/cat_layout.safetensors --host 0.0.0.0

    Only this machine can reach the page. With another --host, it requires the token in the printed
    address; use a TLS proxy in untrusted networks.

    Args:
        clvae: Paint with this checkpoint of CLVAE, trained or imported. Can be repeated.
        fewshot: Scribble with this checkpoint of FewShotSMIS, or an imported encoder beside its
            prior. Can be repeated.
        layout: Drag with this checkpoint of UserControllableLT, or an imported latent transformer.
            Can be repeated.
        host: Address to listen on.
        port: 0 takes a free one.
        device: A GPU if there is one, else the CPU.
        open_page: Open the page in a browser.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be from 0 to 65535, got {port}.")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(
            f"{', '.join(missing)} cannot be imported. Install what the studio needs with\n"
            "  pip install 'semsynth[studio]'"
        )
    with socket.create_server((host, port)) as listening:
        import uvicorn  # these take seconds and import torch

        from semsynth.cli.preflight import choose_device
        from semsynth.studio.messages import MAX_MESSAGE
        from semsynth.studio.models import Models
        from semsynth.studio.server import build_app

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # of trainings on the page
        models = Models.load(clvae, fewshot, layout, str(choose_device(device)))
        is_local = host in LOCAL
        token = "" if is_local else secrets.token_urlsafe(24)
        app = build_app(models, token, LOCAL if is_local else ())
        name = host if host not in ("0.0.0.0", "::") else socket.gethostname()
        address = f"http://{name}:{listening.getsockname()[1]}/{f'?token={token}' if token else ''}"
        sys.stdout.write(f"The studio is at {address}\nStop it with Ctrl+C.\n")
        sys.stdout.flush()
        if open_page:
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
