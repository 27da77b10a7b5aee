# Sluice in one image: non-root, and able to run with a read-only root file system.
#
#   docker build -t sluice .
#   docker run --read-only --tmpfs /tmp -v ./config:/etc/sluice:ro -v sluice:/var/lib/sluice -p 25:2525 sluice
#
# Everything that is installed is pinned by hash (deploy/*.lock).

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/sluice
# Dependencies first: this layer stays while only our own code changes. Without build isolation, what comes as
# sources is built by the pinned setuptools and by nothing else.
COPY deploy/build.lock deploy/requirements.lock deploy/
RUN /opt/sluice/bin/pip install --require-hashes --requirement deploy/build.lock \
    && /opt/sluice/bin/pip install --require-hashes --no-build-isolation --requirement deploy/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY relay relay
COPY verdicts verdicts
COPY config config
RUN /opt/sluice/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/sluice/bin/pip install --no-deps /tmp/wheel/sluice-*.whl \
    && /opt/sluice/bin/pip check \
    && /opt/sluice/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim
# libarchive opens the archives that the attachments and yara engines look into.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libarchive13 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 10001 sluice \
    && useradd --system --uid 10001 --gid sluice --home-dir /var/lib/sluice --shell /usr/sbin/nologin sluice \
    && install --directory --owner=sluice --group=sluice --mode=0700 /var/lib/sluice
COPY --from=build /opt/sluice /opt/sluice
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SLUICE_CONFIG=/etc/sluice/sluice.toml
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/sluice
VOLUME /var/lib/sluice
EXPOSE 2525 8025
# SIGTERM drains. Give it longer than node.drain: docker run --stop-timeout 60
STOPSIGNAL SIGTERM
ENTRYPOINT ["sluice"]
CMD ["serve"]
