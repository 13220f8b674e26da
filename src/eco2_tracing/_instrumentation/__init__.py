"""FastAPI, httpx and the other libraries, instrumented."""
