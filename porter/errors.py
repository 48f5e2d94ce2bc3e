"""One exception per way to fail; every message says what, found, expected and what to do."""

from __future__ import annotations

LONGEST_LINE = 200


def first_line(error: BaseException) -> str:
    """What any exception says, in one line: its first that is not blank, or its class where it says nothing."""
    text = error.found if isinstance(error, PorterError) and error.found is not None else str(error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:LONGEST_LINE]


class PorterError(Exception):
    """The base of every refusal.

    Args:
        what: the thing that is wrong, with its place (file, layer, option).
        found: what was found there.
        expected: what would have been right.
        remedy: what the user can do about it.
    """

    def __init__(
        self, what: str, *, found: str | None = None, expected: str | None = None, remedy: str | None = None
    ) -> None:
        self.what, self.found, self.expected, self.remedy = what, found, expected, remedy
        parts = [what]
        parts += [f"  found:    {found}"] if found is not None else []
        parts += [f"  expected: {expected}"] if expected is not None else []
        parts += [f"  to do:    {remedy}"] if remedy is not None else []
        super().__init__("\n".join(parts))


class UsageError(PorterError):
    """An option or an argument that cannot be meant."""


class UnknownActivationError(UsageError):
    """An activation that nobody has heard of, or one with parameters that it does not take."""


class UnknownOrientationError(UsageError):
    """An orientation that is neither "units-first" nor "inputs-first"."""


class UnknownScalingError(UsageError):
    """A scaling rule that does not exist."""


class UnknownKindError(UsageError):
    """A kind of network whose physical transforms are not known."""


class ListLengthError(UsageError):
    """A list of options that has not one entry a layer."""


class OptionContradictionError(UsageError):
    """Options that contradict each other, or what the file proves."""


class RecipeError(UsageError):
    """A recipe that cannot be followed; the message lists every error with its place.

    Attributes:
        problems: one line an error, each beginning with its place in the recipe.
    """

    def __init__(self, what: str, problems: tuple[str, ...] = (), *, remedy: str | None = None) -> None:
        self.problems = problems
        super().__init__("\n".join((what, *(f"  {problem}" for problem in problems))), remedy=remedy)


class UnreadableError(PorterError):
    """A file that is not what it should be; the base of every refusal of a file."""


class FileMissingError(UnreadableError):
    """No file of that name."""


class NotAFileError(UnreadableError):
    """A directory or a device where a file was wanted."""


class AccessError(UnreadableError):
    """A file that the operating system will not let us read."""


class EmptyFileError(UnreadableError):
    """A file of no bytes."""


class LfsPointerError(UnreadableError):
    """The placeholder that Git LFS leaves where the real file was not fetched."""


class StoredSymlinkError(UnreadableError):
    """A symbolic link of Git that was checked out, or downloaded, as a small text file."""


class PickleFileError(UnreadableError):
    """A pickle, which runs code when it is read."""


class ArchiveFileError(UnreadableError):
    """A zip archive, such as NumPy's .npz."""


class KerasFileError(UnreadableError):
    """A Keras model where a legacy file was wanted."""


class UnknownFormatError(UnreadableError):
    """A file that no reader knows."""


class NotHdf5Error(UnreadableError):
    """A file without the signature of HDF5."""


class TruncatedFileError(UnreadableError):
    """A file that ends before its contents do."""


class DamagedFileError(UnreadableError):
    """A file whose structure or data cannot be decoded."""


class ExternalLinkError(UnreadableError):
    """An HDF5 link into another file."""


class SoftLinkError(UnreadableError):
    """An HDF5 link by name."""


class SharedObjectError(UnreadableError):
    """One HDF5 object under two names, or a group that contains itself."""


class VirtualDatasetError(UnreadableError):
    """An HDF5 dataset that is put together from other datasets or files."""


class ExternalStorageError(UnreadableError):
    """An HDF5 dataset whose values lie in another file."""


class ShapeBombError(UnreadableError):
    """A dataset that declares far more values than the file can hold."""


class UnwrittenDataError(UnreadableError):
    """A dataset whose values, or some of them, were never written."""


class FilterError(UnreadableError):
    """A dataset packed by a filter that is not one of HDF5's own."""


class StoredTypeError(UnreadableError):
    """A dataset of a type that weights cannot have: objects, references, strings, compounds, integers."""


class UnknownMemberError(UnreadableError):
    """A group or a dataset that the format does not have."""


class DuplicateMemberError(UnreadableError):
    """Two members that claim the same place."""


class MissingMemberError(UnreadableError):
    """A layer, a kernel or a bias that should be there and is not."""


class KernelShapeError(UnreadableError):
    """A kernel that is not a matrix."""


class BiasShapeError(UnreadableError):
    """A bias that does not fit its kernel."""


class WidthError(UnreadableError):
    """A layer that cannot follow the one before it."""


class LayersError(UnreadableError):
    """The dataset ``Layers`` contradicts the arrays."""


class ScalingShapeError(UnreadableError):
    """A ``Norm_in`` or ``Norm_out`` that does not fit the network."""


class ScalingRangeError(UnreadableError):
    """A range whose maximum is not above its minimum, or a standard deviation that is not positive."""


class NonFiniteError(UnreadableError):
    """NaN or infinite values where numbers should be."""


class ModelSizeError(UnreadableError):
    """A model of whose layers one computes more numbers than any machine holds."""


class ShapesError(UnreadableError):
    """A model whose layers do not fit each other."""


class OutputExistsError(PorterError):
    """The output is there already, and ``force`` was not given."""


class UnbuildableError(PorterError):
    """A network that Keras' own layers cannot express as asked."""


class PortError(PorterError):
    """A port that cannot be looked into: not a Keras model, or one that cannot be evaluated."""


class SamplesError(PorterError):
    """Golden samples that do not fit the network or cannot be read."""


class SamplesFormatError(SamplesError):
    """A file that is neither an .npz with inputs and outputs nor a CSV of numbers."""


class SamplesShapeError(SamplesError):
    """Samples with another number of inputs or outputs than the network."""


class SamplesValueError(SamplesError):
    """Samples that are NaN or infinite."""


class ParityError(PorterError, AssertionError):
    """Raised by ``Report.raise_for_mismatch``: the port is not proven to be right."""
