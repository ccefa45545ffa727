"""Start a module as Lambda's Python would: run in a room by `room.py`, with the standard library alone.

    start.py PYTHON_OF_THE_LAYERS RUNTIME_CLIENT MODULE [ARGUMENT …]      run the module
    start.py PYTHON_OF_THE_LAYERS RUNTIME_CLIENT -c CODE                  run the code

Paths are in Lambda's order: the function's code, its layers, Python, the runtime client.
"""

import os
import runpy
import sys

layers, runtime, module, *arguments = sys.argv[1:]
sys.path[:] = [
    os.getcwd(),
    layers,
    *(path for path in sys.path if path != os.path.dirname(__file__)),
    runtime,
]
if module == "-c":
    exec(arguments[0], {"__name__": "__main__"})
else:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
