"""Messages between two processes of ours. A large tensor goes over once; after that its number stands for it."""

from __future__ import annotations

import io
import itertools
import pickle
import struct
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 1 << 16  # bytes from which a tensor is worth a number
LENGTH = struct.Struct(">Q")  # of a message, before it


class _Tensors:
    """The tensors that both ends of a connection hold, by number.

    keeps: this end holds them until the other end has dropped them. The other end holds them weakly, and reports with
    its next message which ones have died.
    """

    def __init__(self, *, keeps: bool) -> None:
        self.dead: list[int] = []  # numbers to report
        self._keeps = keeps
        self._numbers = itertools.count(int(keeps), 2)  # the two ends never give the same number
        self._kept: dict[int, Tensor] = {}
        self._weak: dict[int, tuple[weakref.ref[Tensor], int]] = {}  # number, by id of the tensor

    def find(self, tensor: Tensor) -> int | None:
        """The number of a tensor that the other end keeps, None if it does not."""
        ref, number = self._weak.get(id(tensor), (None, 0))
        return number if ref is not None and ref() is tensor else None

    def add(self, tensor: Tensor) -> int:
        """A number for a tensor that is sent for the first time."""
        number = next(self._numbers)
        self.remember(number, tensor)
        return number

    def remember(self, number: int, tensor: Tensor) -> None:
        """Hold a tensor that was sent or received."""
        if self._keeps:
            self._kept[number] = tensor
            return
        key = id(tensor)

        def forget(_: weakref.ref[Tensor]) -> None:
            del self._weak[key]
            self.dead.append(number)

        self._weak[key] = weakref.ref(tensor, forget), number

    def get(self, number: int) -> Tensor:
        """The tensor with a number. Raises KeyError."""
        return self._kept[number]

    def drop(self, numbers: list[int]) -> None:
        """Forget the tensors that the other end has dropped."""
        for number in numbers:
            self._kept.pop(number, None)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, tensors: _Tensors) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._tensors = tensors

    def persistent_id(self, value: object) -> tuple[Any, ...] | None:
        if not isinstance(value, torch.Tensor) or value.nbytes < LARGE:
            return None
        number = self._tensors.find(value)
        if number is not None:
            return (number,)
        plain = value.detach().cpu().contiguous()
        return self._tensors.add(value), value.dtype, tuple(value.shape), plain.view(torch.uint8).numpy()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, tensors: _Tensors) -> None:
        super().__init__(file)
        self._tensors = tensors

    def persistent_load(self, pid: tuple[Any, ...]) -> Tensor:
        number, *sent = pid
        if not sent:
            return self._tensors.get(number)
        dtype, shape, data = sent
        tensor = torch.from_numpy(data).view(dtype).reshape(shape)
        self._tensors.remember(number, tensor)
        return tensor


class Codec:
    """Messages as bytes, between two processes that trust each other. Not thread-safe.

    keeps: this end keeps large tensors for as long as the other end, which must have keeps=False, holds them. Each end
    decodes messages in the order in which the other end has encoded them.
    """

    def __init__(self, *, keeps: bool) -> None:
        self._tensors = _Tensors(keeps=keeps)

    def encode(self, message: object) -> memoryview:
        """A message of plain data as bytes."""
        dead, self._tensors.dead = self._tensors.dead, []
        file = io.BytesIO()
        _Pickler(file, self._tensors).dump((dead, message))
        return file.getbuffer()

    def decode(self, data: bytes) -> Any:  # noqa: ANN401 - the message of the other end
        """The message."""
        dead, message = _Unpickler(io.BytesIO(data), self._tensors).load()
        self._tensors.drop(dead)
        return message


class Channel:
    """Messages through a pair of pipes. Not thread-safe, except `beat`. keeps: see `Codec`."""

    def __init__(self, source: BinaryIO, sink: BinaryIO, *, keeps: bool) -> None:
        self._source, self._sink = source, sink
        self._codec = Codec(keeps=keeps)
        self._writing = threading.Lock()

    def send(self, message: object) -> None:
        """Send a message of plain data. Raises OSError or ValueError if the other process has ended."""
        data = self._codec.encode(message)
        with self._writing:
            self._sink.write(LENGTH.pack(len(data)))
            self._sink.write(data)
            self._sink.flush()

    def beat(self) -> None:
        """Send a sign of life, which `receive` skips. Raises OSError or ValueError if the other process has ended."""
        with self._writing:
            self._sink.write(LENGTH.pack(0))
            self._sink.flush()

    def receive(self, alive: Callable[[], object] = lambda: None) -> Any:  # noqa: ANN401 - the message of the other end
        """The next message. alive: called at each sign of life before it.

        Raises EOFError, OSError or ValueError if the other process has ended.
        """
        while True:
            (length,) = LENGTH.unpack(self._read(LENGTH.size))
            alive()
            if length:
                return self._codec.decode(self._read(length))

    def close(self) -> None:
        """Close both pipes."""
        for pipe in (self._sink, self._source):
            with suppress(OSError):
                pipe.close()

    def _read(self, length: int) -> bytes:
        data = self._source.read(length)
        if len(data) < length:
            raise EOFError("the other process has ended")
        return data
