"""The queued service as commonly written. Runs in FastAPI's and Celery's environment alone."""

import os

import joblib
import numpy as np
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

app = Celery("common", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BACKEND"])
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    result_expires=3600,
    task_serializer="json",
    task_default_queue="common",
)
model = None


@app.task
def predict(x):
    global model
    if model is None:
        model = joblib.load(os.environ["BENCH_MODEL"])
    return model.predict_proba(np.array(x)).tolist()


class Rows(BaseModel):
    x: list[list[float]]


api = FastAPI()


@api.post("/predict")
async def accept(rows: Rows):
    return {"id": predict.delay(rows.x).id}


@api.get("/result/{id}")
def result(id: str):
    found = predict.AsyncResult(id)
    return {"state": found.state, "result": found.result if found.ready() else None}
