"""The shipped help desk in a hurry: all that it does, by people and agents who hardly think."""

from importlib.util import module_from_spec, spec_from_file_location

from loadkit import constant, uniform
from loadkit.cli.scenarios import find

spec = spec_from_file_location("help_desk", find("help_desk"))
help_desk = module_from_spec(spec)
spec.loader.exec_module(help_desk)
help_desk.HelpDesk.thinks = constant("0.05s")


class Hurried(help_desk.Caller):
    wait_time = uniform("0.05s", "0.3s")
