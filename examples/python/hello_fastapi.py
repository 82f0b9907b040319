# SPDX-License-Identifier: Apache-2.0
"""The smallest FastAPI app. Needs FastAPI.

Run:   hythe serve examples/python/hello_fastapi.py
Ask:   curl localhost:8080/hello/you
"""
import fastapi

app = fastapi.FastAPI()


@app.get("/hello/{name}")
async def hello(name: str):
    return {"hello": name}
