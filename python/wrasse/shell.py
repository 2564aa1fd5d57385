"""IPython's shell, with its output shown as text and kept as a notebook keeps it."""

from __future__ import annotations

import asyncio
import base64
import io
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TextIO

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.profiledir import ProfileDir
from nbformat import NotebookNode, v4
from traitlets import Type
from traitlets.config import Config

# nbformat's functions carry no types.
new_output: Callable[..., NotebookNode] = v4.new_output


class Recorder:
    """The outputs of the running cell, in the notebook format.

    ``terminal`` and ``errors`` are where everything is shown as text: the
    streams the process was started with.
    """

    def __init__(self) -> None:
        # IPython needs both, even in a process that was started with one closed.
        sys.stdout = self.terminal = sys.stdout or io.StringIO()
        sys.stderr = self.errors = sys.stderr or io.StringIO()
        self.outputs: list[NotebookNode] = []
        self._displayed: defaultdict[str, list[NotebookNode]] = defaultdict(list)
        self._clear_before_next = False

    def record_streams(self) -> None:
        """Also keep what is printed from now on."""
        sys.stdout = RecordedStream(self.terminal, "stdout", self)
        sys.stderr = RecordedStream(self.errors, "stderr", self)

    def begin(self) -> list[NotebookNode]:
        """Start a cell; returns the list that will hold its outputs."""
        self.outputs = []
        self._clear_before_next = False
        return self.outputs

    def add(self, output: NotebookNode) -> None:
        """Keep one output."""
        if self._clear_before_next:
            self.clear(wait=False)
        self.outputs.append(output)

    def add_text(self, stream: str, text: str) -> None:
        """Keep printed text, joined to what the same stream printed just before."""
        if not text:
            return
        last = self.outputs[-1] if self.outputs and not self._clear_before_next else None
        if last is not None and last.output_type == "stream" and last.name == stream:
            last.text += text
        else:
            self.add(new_output("stream", name=stream, text=text))

    def add_display(self, data: dict[str, Any], metadata: dict[str, Any], name: str | None) -> None:
        """Keep something displayed; ``name`` is the id by which it may be updated."""
        output = new_output("display_data", data=data, metadata=metadata)
        if name is not None:
            self._displayed[name].append(output)
        self.add(output)

    def update_display(self, data: dict[str, Any], metadata: dict[str, Any], name: str) -> None:
        """Replace what was displayed under ``name``, in whichever cell."""
        for output in self._displayed[name]:
            output.data = data
            output.metadata = metadata

    def clear(self, wait: bool) -> None:
        """Forget the cell's outputs, now or when the next one comes."""
        self._clear_before_next = wait
        if not wait:
            self.outputs.clear()

    def show(self, text: str) -> None:
        """Show a line that is not the program's own printing."""
        print(text, file=self.terminal, flush=True)


class RecordedStream(io.TextIOBase):
    """A text stream that passes everything on and keeps a copy."""

    def __init__(self, stream: TextIO, name: str, recorder: Recorder) -> None:
        self._stream = stream
        self._name = name
        self._recorder = recorder

    def write(self, text: str) -> int:
        """Write and keep ``text``."""
        written = self._stream.write(text)
        self._recorder.add_text(self._name, text)
        return written

    def flush(self) -> None:
        """Flush the stream beneath."""
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream beneath open: it is the process's."""

    def fileno(self) -> int:
        """The descriptor of the stream beneath."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether the stream beneath is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Always."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream beneath."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The error handler of the stream beneath."""
        return self._stream.errors

    def __getattr__(self, name: str) -> object:
        """Everything else is the stream's own."""
        return getattr(self._stream, name)


def _plain(data: dict[str, Any]) -> str:
    """What a text terminal shows of a rich display."""
    if "text/plain" in data:
        return str(data["text/plain"])
    return f"<{', '.join(sorted(data)) or 'empty display'}>"


def _storable(data: dict[str, Any]) -> dict[str, Any]:
    """The data as JSON can hold it: bytes become base64, as notebooks have it."""

    def convert(value: object) -> object:
        if isinstance(value, bytes):
            return base64.b64encode(value).decode("ascii")
        return value

    return {kind: convert(value) for kind, value in data.items()}


class NotebookDisplayHook(DisplayHook):
    """Shows the value of a cell's last expression as ``Out[n]: …``."""

    def write_output_prompt(self) -> None:
        """Nothing yet: prompt and value are written together."""

    def write_format_data(
        self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
    ) -> None:
        """Show and keep the value."""
        count = self.prompt_count
        text = _plain(format_dict)
        separator = "\n" if "\n" in text else " "
        NotebookShell.recorder.show(f"Out[{count}]:{separator}{text}")
        data = _storable(format_dict)
        output = new_output(
            "execute_result", data=data, metadata=md_dict or {}, execution_count=count
        )
        NotebookShell.recorder.add(output)

    def finish_displayhook(self) -> None:
        """Nothing: everything is written."""


class NotebookDisplayPublisher(DisplayPublisher):
    """Shows what ``display()`` is given."""

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        source: object = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_unused: object,
    ) -> None:
        """Show and keep a display, or an update of one."""
        recorder = NotebookShell.recorder
        recorder.show(_plain(data))
        name = (transient or {}).get("display_id")
        if update and name is not None:
            recorder.update_display(_storable(data), metadata or {}, name)
        else:
            recorder.add_display(_storable(data), metadata or {}, name)

    def clear_output(self, wait: bool = False) -> None:
        """Forget the cell's outputs; what a terminal has shown stays."""
        self.shell.recorder.clear(wait)


class NotebookShell(InteractiveShell):
    """IPython's shell for a notebook that nobody sits in front of."""

    displayhook_class = Type(NotebookDisplayHook)
    display_pub_class = Type(NotebookDisplayPublisher)
    recorder: Recorder
    left = False
    """Whether the notebook asked to end, by ``exit`` or ``quit``."""

    @classmethod
    def start(cls, directory: str, recorder: Recorder) -> NotebookShell:
        """Make the process's shell; ``directory`` holds what IPython writes.

        The user's profile and history are neither read nor written.
        """
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "neutral" if recorder.errors.isatty() else "nocolor"
        cls.recorder = recorder
        profile = ProfileDir(location=f"{directory}/profile_default")
        shell = cls.instance(config=config, ipython_dir=directory, profile_dir=profile)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        shell.loop_runner = loop.run_until_complete
        # IPython advises people how to leave after sys.exit(); here it leaves.
        warnings.filterwarnings("ignore", "To exit: use", module=r"IPython\.core\.interactiveshell")
        return shell

    def init_virtualenv(self) -> None:
        """Nothing: the interpreter that was asked for is the right one."""

    def should_run_async(self, raw_cell: str, **options: object) -> bool:
        """Whether to run a cell in the event loop: every cell, as in Jupyter.

        So ``asyncio.create_task()`` needs no ``await`` in the same cell. Code
        that a cell runs in turn (``%%capture``) is in the loop already.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return True
        return bool(super().should_run_async(raw_cell, **options))

    def enable_gui(self, gui: str | None = None) -> None:
        """Nothing: there is no window to keep alive."""

    def ask_exit(self) -> None:
        """End after this cell."""
        self.left = True

    def showtraceback(
        self,
        exc_tuple: tuple[type[BaseException], BaseException, Any] | None = None,
        filename: str | None = None,
        tb_offset: int | None = None,
        exception_only: bool = False,
        running_compiled_code: bool = False,
    ) -> None:
        """Show the running exception, unless it only asks to exit."""
        if not isinstance(sys.exc_info()[1], SystemExit):
            super().showtraceback(
                exc_tuple, filename, tb_offset, exception_only, running_compiled_code
            )

    def _showtraceback(
        self, etype: type[BaseException], evalue: BaseException, stb: list[str]
    ) -> None:
        recorder = self.recorder
        recorder.terminal.flush()
        print(self.InteractiveTB.stb2text(stb), file=recorder.errors, flush=True)
        recorder.add(
            new_output("error", ename=etype.__name__, evalue=str(evalue), traceback=list(stb))
        )
