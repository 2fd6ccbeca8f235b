"""Records the distinct convolutions of a running program: what, how often, forward or backward, in which
layer.

    with rmcp_torch.capture() as seen:
        train_one_step(model)
    seen.save("my-model.yaml")        # a matrix for `pytest --rmcp-matrix=my-model.yaml`

Works on eager PyTorch >= 1.13 in the thread that entered the context. A convolution is written down before it
runs, so a program that dies in one has recorded it. Compiled or scripted models hide theirs: run them
eagerly.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from rmcp_torch.catalogue import Convolution, Sightings, matrix_text

_FRAMES = 200  # stack frames that are searched for the layers; deeper models are not named
_PLACES = 50  # different layers that are kept per convolution


class Recorder:
    """What was seen so far, in the order of first sight. With ``folder`` every new convolution is also
    appended to a file of this process there, at once, and the counts when the process ends."""

    def __init__(self, folder: Optional[str] = None) -> None:
        self.convolutions: Dict[Convolution, Sightings] = {}
        self._folder = folder
        self._pid = os.getpid()
        self._names: Dict[int, Tuple[Any, Dict[int, str]]] = {}

    def save(self, path: str, name: str = "", doc: str = "") -> None:
        """Write the matrix file. Raises ValueError when no convolution was seen."""
        if not self.convolutions:
            raise ValueError(
                "no convolution was seen; those of compiled (torch.compile) or scripted models "
                "and of other threads are not: run the model eagerly, inside the context"
            )
        stem = os.path.splitext(os.path.basename(path))[0]
        with open(path, "w", encoding="ascii") as file:
            file.write(
                matrix_text(self.convolutions, name or stem, doc or "Convolutions captured from a program.")
            )

    # -- called by the mode -----------------------------------------------------------------------

    def note(self, one: Convolution, place: str) -> Sightings:
        """Count one forward call, before it runs."""
        if self._pid != os.getpid():  # forked: the parent's counts stay the parent's
            self._pid = os.getpid()
            self.convolutions = {}
        seen = self.convolutions.get(one)
        if seen is None:
            seen = self.convolutions[one] = Sightings()
            self._write({"conv": one._asdict(), "place": place})
        seen.forward += 1
        if place and (place in seen.places or len(seen.places) < _PLACES):
            seen.places[place] = seen.places.get(place, 0) + 1
        return seen

    def note_backward(self, one: Convolution, seen: Sightings) -> None:
        """Count one gradient that arrived at a convolution's output, before the convolution's own
        gradients."""
        seen.backward += 1
        if seen.backward == 1:
            self._write({"conv": one._asdict(), "backward": 1})

    def place(self, frame: Optional[FrameType]) -> str:
        """Path of the innermost module on the stack, from the outermost one: `ResNet.layer1.0.conv1`."""
        module_class = sys.modules["torch.nn"].Module
        modules: List[Any] = []
        for _ in range(_FRAMES):
            if frame is None:
                break
            owner = frame.f_locals.get("self")
            if isinstance(owner, module_class) and (not modules or modules[-1] is not owner):
                modules.append(owner)
            frame = frame.f_back
        if not modules:
            return ""
        root, inner = modules[-1], modules[0]
        known = self._names.get(id(root))
        if known is None or known[0] is not root or id(inner) not in known[1]:
            known = (root, {id(module): name for name, module in root.named_modules()})
            self._names[id(root)] = known
        name = known[1].get(id(inner), type(inner).__name__)
        return type(root).__name__ + ("." + name if name else "")

    def finish(self) -> None:
        """Write the counts; at the end of the process."""
        if self._pid == os.getpid():
            for one, seen in self.convolutions.items():
                self._write({"conv": one._asdict(), "seen": seen.as_dict()})

    def _write(self, record: Dict[str, Any]) -> None:
        if self._folder is None:
            return
        path = os.path.join(self._folder, "%d.jsonl" % os.getpid())
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, (json.dumps(record) + "\n").encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            # The program under observation must not fail because of the observer; say it once, and go on.
            self._folder = None
            sys.stderr.write("rmcp capture: cannot write %s: %s\n" % (path, error))


def capture() -> Any:
    """A context manager that records the convolutions of this thread and yields the Recorder."""
    import contextlib

    @contextlib.contextmanager
    def context() -> Any:
        recorder = Recorder()
        with _mode(recorder):
            yield recorder

    return context()


def install(folder: str) -> None:
    """Record this whole process into ``folder``, from the moment that it imports torch."""
    recorder = Recorder(folder)
    if "torch" in sys.modules:
        _start(recorder)
    else:
        sys.meta_path.insert(0, _TorchFinder(recorder))


def _start(recorder: Recorder) -> None:
    mode = _mode(recorder)
    mode.__enter__()  # left with the process
    atexit.register(recorder.finish)


class _TorchFinder(MetaPathFinder):
    """Lets torch be imported as ever, and starts the recording right after."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def find_spec(self, name: str, path: Optional[Sequence[str]] = None, target: Any = None) -> Any:
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        import importlib.util

        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Wrapped(spec.loader, self._recorder)
        return spec


class _Wrapped(Loader):
    def __init__(self, loader: Any, recorder: Recorder) -> None:
        self._loader = loader
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        try:
            _start(self._recorder)
        except Exception as error:  # an old torch without TorchFunctionMode: the program runs, unrecorded
            sys.stderr.write("rmcp capture: this torch cannot be recorded: %s\n" % error)


def _mode(recorder: Recorder) -> Any:
    import torch
    import torch.nn.functional as F
    from torch.overrides import TorchFunctionMode

    forward = {F.conv1d: 1, F.conv2d: 2, F.conv3d: 3}
    transposed = {F.conv_transpose1d: 1, F.conv_transpose2d: 2, F.conv_transpose3d: 3}

    class Mode(TorchFunctionMode):  # type: ignore[misc,unused-ignore]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            one = None
            if func in forward:
                one = _describe(torch, forward[func], False, args, kwargs)
            elif func in transposed:
                one = _describe(torch, transposed[func], True, args, kwargs)
            elif func is torch.convolution:
                one = _general(torch, args, kwargs)
            if one is None:
                return func(*args, **kwargs)
            seen = recorder.note(one, recorder.place(sys._getframe(1)))
            out = func(*args, **kwargs)
            if isinstance(out, torch.Tensor) and out.requires_grad:

                def backward(gradient: Any) -> None:
                    recorder.note_backward(one, seen)

                out.register_hook(backward)
            return out

    return Mode()


_FORWARD_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED_NAMES = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_GENERAL_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding",
                  "groups")  # fmt: skip


def _describe(torch: Any, dims: int, transposed: bool, args: Any, kwargs: Any) -> Optional[Convolution]:
    """The convolution that a call of torch's conv functions asks for; None when the call is not
    understood."""
    given = dict(zip(_TRANSPOSED_NAMES if transposed else _FORWARD_NAMES, args), **kwargs)
    return _convolution(torch, dims, transposed, given)


def _general(torch: Any, args: Any, kwargs: Any) -> Optional[Convolution]:
    given = dict(zip(_GENERAL_NAMES, args), **kwargs)
    weight = given.get("weight")
    dims = weight.dim() - 2 if isinstance(weight, torch.Tensor) else 0
    return _convolution(torch, dims, bool(given.get("transposed")), given)


def _convolution(torch: Any, dims: int, transposed: bool, given: Dict[str, Any]) -> Optional[Convolution]:
    x, weight = given.get("input"), given.get("weight")
    if not isinstance(x, torch.Tensor) or not isinstance(weight, torch.Tensor) or dims not in (1, 2, 3):
        return None
    if weight.dim() != dims + 2 or x.dim() not in (dims + 1, dims + 2):
        return None  # torch will raise for it
    groups = int(given.get("groups", 1))
    stride, dilation = _each(given.get("stride", 1), dims), _each(given.get("dilation", 1), dims)
    kernel = tuple(int(v) for v in weight.shape[2:])
    size = tuple(int(v) for v in x.shape[-dims:])
    asked = given.get("padding", 0)
    if isinstance(asked, str):
        total = tuple(d * (k - 1) if asked == "same" else 0 for d, k in zip(dilation, kernel))
        padding = tuple(t // 2 for t in total)
        # An odd total is padded on one side first, so the library below sees an input that is one larger.
        size = tuple(s + t % 2 for s, t in zip(size, total))
    else:
        padding = _each(asked, dims)
    return Convolution(
        n=int(x.shape[0]) if x.dim() == dims + 2 else 1,
        c=int(x.shape[-dims - 1]),
        size=size,
        k=int(weight.shape[1]) * groups if transposed else int(weight.shape[0]),
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=given.get("bias") is not None,
        transposed=transposed,
        output_padding=_each(given.get("output_padding", 0), dims) if transposed else (),
        dtype=str(x.dtype).replace("torch.", ""),
        memory_format=_layout(torch, dims, x, weight),
        autocast=_autocast(torch, x),
    )


def _each(value: Any, dims: int) -> Tuple[int, ...]:
    values = tuple(int(v) for v in value) if isinstance(value, (tuple, list)) else (int(value),)
    return values * dims if len(values) == 1 else values


def _layout(torch: Any, dims: int, x: Any, weight: Any) -> str:
    """The workload's word for the layouts of input and weight; ambiguous strides count as contiguous."""
    if dims == 1 or x.dim() != dims + 2:
        return "contiguous"
    last = torch.channels_last if dims == 2 else torch.channels_last_3d

    def is_last(tensor: Any) -> bool:
        return tensor.is_contiguous(memory_format=last) and not tensor.is_contiguous()

    if is_last(weight):
        return "channels_last"
    if not is_last(x):
        return "contiguous"
    # The weight of a pointwise convolution is both; then it goes with its input.
    return "channels_last" if weight.is_contiguous(memory_format=last) else "preserve"


def _autocast(torch: Any, x: Any) -> str:
    """Name of the dtype to which autocast will take the operands, '' when it will not."""
    kind = x.device.type
    try:
        enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype
    except TypeError:  # before torch 2.4 there was one pair of functions per device
        if kind == "cpu":
            enabled = torch.is_autocast_cpu_enabled()
        else:
            enabled = kind == "cuda" and torch.is_autocast_enabled()
        dtype = _old_autocast_dtype(torch)
    except RuntimeError:  # a device that autocast does not know
        return ""
    if not enabled or not x.is_floating_point() or dtype(kind) == x.dtype:
        return ""
    return str(dtype(kind)).replace("torch.", "")


def _old_autocast_dtype(torch: Any) -> Callable[[str], Any]:
    return lambda kind: torch.get_autocast_cpu_dtype() if kind == "cpu" else torch.get_autocast_gpu_dtype()
