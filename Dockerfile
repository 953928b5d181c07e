# The hub: docker build -t inversion-hub . ; docker run -p 7860:7860 -v models:/models inversion-hub
# VARIANT=cuda adds the settings of NVIDIA's container runtime: docker run --gpus all ...
# TORCH_INDEX: address of a package index with the wheels of torch, such as PyTorch's for CPUs, which are smaller.
# RAY=1 adds Ray, for compose.yaml.
ARG VARIANT=cpu

FROM python:3.12-slim AS base
ARG TORCH_INDEX=
ARG RAY=
WORKDIR /hub
COPY requirements*.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        grep -E '^(torch|torchvision)[><=]' requirements.txt > torch.txt \
        && pip install --no-cache-dir --index-url "$TORCH_INDEX" -r torch.txt; \
    fi \
    && pip install --no-cache-dir -r "requirements${RAY:+-ray}.txt"
RUN useradd --create-home --uid 1000 hub && mkdir /models /results && chown hub /models /results
COPY --chown=hub . .
# Models, converted files and results are on volumes; the page is for other machines.
ENV HF_HOME=/models/hub INVERSION_CACHE=/models/derived PYTHONPATH=/hub \
    GRADIO_SERVER_NAME=0.0.0.0 GRADIO_ANALYTICS_ENABLED=False PYTHONUNBUFFERED=1
VOLUME ["/models", "/results"]
USER 1000
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=300s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--port", "7860"]

FROM base AS cpu
CMD ["--device", "cpu"]

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
CMD ["--device", "cuda"]

FROM ${VARIANT}
