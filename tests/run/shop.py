"""A script that serves an application itself: `python shop.py PORT`."""

from __future__ import annotations

import sys

import uvicorn

if __name__ == "__main__":
    from plain import app

    uvicorn.run(app, port=int(sys.argv[1]))
