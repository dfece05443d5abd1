"""`python -m UNetSegmenterLib.engine.worker` starts the worker process."""

from .service import main

main()
