# The page in a container:  docker build -t repaint . && docker run -p 7860:7860 repaint
FROM python:3.12-slim
RUN useradd --create-home --uid 1000 page
WORKDIR /home/page/app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY app.py registry.yaml LICENSE README.md ./
COPY nst_core nst_core
COPY ui ui
COPY styles styles
USER page
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"GRADIO_SERVER_PORT\"]}/health')"]
CMD ["python", "app.py"]
