"""Whether what was built will run: the artifact that is shipped, and the same build run on this machine.

`shipped` reads `.aws-sam/build` without running it, since it is for another Python and another
machine. `here` has the same script build the layers for this machine, and runs every function from
built folders alone. Nothing here needs AWS, Docker or root.
"""
