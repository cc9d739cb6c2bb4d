"""The error tree: one root, two branches named for what the orchestrator does with them.

State machines see class names: `ContractError` and its leaves are never retried, `Unavailable` is.
Lambda reports the exact class, so a leaf of `Unavailable` must be listed in the machines' `Retry` too.
"""


class RatchetError(Exception):
    """Root of every error that Ratchet raises on purpose; its text is one line and says the remedy."""


class Unavailable(RatchetError):
    """Something outside did not answer as it should and may do so later: retried with back-off and jitter."""


class ContractError(RatchetError):
    """Something is wrong and stays wrong until a person or another run changes it: never retried."""


class BadInput(ContractError):
    """What a person or an event handed over cannot be used: an execution input, a row, an argument."""


class UnknownPipeline(BadInput):
    """No folder of that name under `pipelines/`."""


class UnknownMachine(BadInput):
    """No file and no record of that machine within the days that a prediction looks at."""


class BadConfiguration(ContractError):
    """An environment variable, a secret, `pipeline.yaml` or the bucket is missing or invalid."""


class SourceRefused(ContractError):
    """The source refused the key (401, 403) or the database refused the login."""


class SourceUnreadable(ContractError):
    """The source answers with no rows although there must be some: a missing row policy looks like an empty table."""


class SourceMismatch(ContractError):
    """The source is not what the pipeline declares: a missing table or column, another type, HTML for JSON."""


class MissingTable(SourceMismatch):
    """The source has no such table: an error for a declared one, an answer for an optional one."""


class TooManyBadRows(ContractError):
    """More than the configured share of rows breaks the row contract."""


class BadBundle(ContractError):
    """A bundle is truncated, unsafe, incomplete, or does not do what its own documents say."""


class GraphDiffers(BadBundle):
    """The ONNX graph in a bundle does not compute what the framework that trained it computed."""


class ForeignDocument(ContractError):
    """An object stands where Ratchet keeps a document, but Ratchet did not write it."""


class UnknownRun(BadInput):
    """No promotion of that run is in the history."""


class NotRegistered(BadInput):
    """A run's model is not in the registry."""


class NotApproved(ContractError):
    """A model that a person has to approve was to be put into service without it."""


class LinkRefused(BadInput):
    """A link to a decision was changed, or its time is over."""


class EndpointFailed(ContractError):
    """An endpoint did not come into service, or does not answer as the bundle's reference rows say."""


class NoChampion(ContractError):
    """Scoring was asked for before any model was promoted."""


class StaleInput(ContractError):
    """The newest input is older than the pipeline's staleness bound."""


class AlreadyRunning(ContractError):
    """A run of the pipeline is under way, and another one was asked for."""


class LeaseLost(ContractError):
    """This run's fencing token is behind: another run took the lease, so this one must not write."""


class ChampionMoved(ContractError):
    """The pointer moved after the challenger was judged; the verdict is void and the evaluation runs again."""


class TrainingFailed(ContractError):
    """The training job ended without a usable model; its own reason follows."""


class TrainingOutOfCapacity(TrainingFailed):
    """No instance of the asked type could be had."""


class TrainingTimedOut(TrainingFailed):
    """The job ran into `MaxRuntimeInSeconds` or `MaxWaitTimeInSeconds`."""


class TrainingStopped(TrainingFailed):
    """Somebody stopped the job."""


class TrainingDiverged(TrainingFailed):
    """The loss is no number any more: the hyperparameters or the data are at fault."""


class TrainingLeftNoBundle(TrainingFailed):
    """The job completed, but what it left is no bundle of this run."""


class UnsupportedTrees(ContractError):
    """A tree model holds something that no ONNX graph computes as the model does."""
