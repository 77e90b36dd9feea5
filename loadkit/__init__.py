"""loadkit: load and soak testing for OneHash Chat, from an agent's reply to the event on the customer's socket."""

from loadkit.workload.delay import Delay, constant, exponential, lognormal, uniform

__all__ = ["Delay", "__version__", "constant", "exponential", "lognormal", "uniform"]

__version__ = "0.1.0"
