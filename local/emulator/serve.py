"""Runs ministack in this process, extended and on loopback only; SIGTERM or SIGINT saves its state and ends it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
from pathlib import Path

from local import processes
from local.emulator import endings, extensions, settings
from local.emulator.settings import Settings

logger = logging.getLogger(__name__)
SAVE_SECONDS = 15.0


def ministack_environment(given: Settings) -> dict[str, str]:
    """The variables that configure ministack; it reads them while it is imported."""
    return {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(given.port),
        "AUTH": "true" if given.auth else "false",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(given.state / "services"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(given.state / "s3"),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # No container of the machine's owner is ours to look at.
        "DOCKER_HOST": "unix:///nonexistent",
        "MINISTACK_REGION": "us-east-1",
        "LOG_LEVEL": "WARNING",
    }


def run(given: Settings) -> None:
    """Serve until a signal; leaves the process by `os._exit`, since ministack's sleeping threads would hold it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(ministack_environment(given))
    os.environ.setdefault("RATCHET_TRAINING_HOME", str(given.state / "training"))
    for folder in (given.state / "services", given.state / "s3"):
        folder.mkdir(parents=True, exist_ok=True)
    settings.configure(given)
    extensions.install_all()
    status = 1
    try:
        asyncio.run(_serve(given.port))
        status = 0
    except Exception:
        logger.exception("The emulator failed.")
    finally:
        # The extensions' own endings.
        atexit._run_exitfuncs()
        _end_children()
        os._exit(status)


async def _serve(port: int) -> None:
    from hypercorn.asyncio import serve  # type: ignore[import-not-found]
    from hypercorn.config import Config  # type: ignore[import-not-found]
    from ministack.app import app

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.accesslog = None
    tasks = [asyncio.create_task(_announce(port)), asyncio.create_task(_save_regularly())]
    await serve(app, config, shutdown_trigger=lambda: _finished(stop))
    for task in tasks:
        task.cancel()


async def _finished(stop: asyncio.Event) -> None:
    """Wait until the emulator shall stop and the extensions have written what they held back."""
    await stop.wait()
    await asyncio.to_thread(endings.run)


async def _save_regularly() -> None:
    """Bound what is lost when the machine is switched off; ministack itself saves only when it stops."""
    from ministack.app import _build_persistence_save_dict
    from ministack.core.persistence import save_all

    while True:
        await asyncio.sleep(SAVE_SECONDS)
        await asyncio.to_thread(lambda: save_all(_build_persistence_save_dict()))


async def _announce(port: int) -> None:
    """Print the one line that says the emulator answers."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        print(f"The emulator is ready at http://127.0.0.1:{port}", flush=True)
        return


def _end_children() -> None:
    """Whatever an extension started and did not end."""
    own = processes.identify(os.getpid())
    if own is None:
        return
    for member in processes.family(own):
        if member != own and Path(f"/proc/{member.pid}").exists():
            processes.stop(member, patience=1.0)
