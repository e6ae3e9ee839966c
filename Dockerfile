# HashLens from this folder, serving the index that is mounted at /index. See docs/service.md.
#
#     docker build -t hashlens .
#     docker run -p 127.0.0.1:8000:8000 -v ./index:/index -v ./photos:/photos:ro -v ./token:/run/token:ro hashlens

FROM python:3.11-slim

WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir . \
    && useradd --create-home hashlens
USER hashlens
WORKDIR /home/hashlens

EXPOSE 8000
# The index is searched where it lies; what is brought up to date after an update is written into it.
ENTRYPOINT ["hashlens"]
CMD ["serve", "/index", "--host", "0.0.0.0", "--token-file", "/run/token"]
