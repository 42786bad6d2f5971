"""Widely used projects, written by hand: what names are compared with where no download list was ever fetched."""

from __future__ import annotations

from collections.abc import Mapping

from ..names import NormalizedName

_NAMES = """
absl-py aiobotocore aiofiles aiohttp aiosignal aiosqlite alembic altair amqp annotated-types ansible
anthropic antlr4-python3-runtime anyio apache-airflow apache-beam appdirs apscheduler argcomplete argon2-cffi arrow
asgiref asn1crypto astroid asttokens async-timeout asyncio asyncpg attrs authlib autopep8 aws-cdk-lib aws-sam-cli
awscli azure-common azure-core azure-identity azure-storage-blob babel backoff bandit bcrypt beartype
beautifulsoup4 billiard black bleach blinker bokeh boto boto3 boto3-stubs botocore bottle brotli build cachetools
catboost cattrs celery certifi cffi cfn-lint chardet charset-normalizer cherrypy chromadb click click-plugins
cloudpickle colorama coloredlogs colorlog conan confluent-kafka coverage croniter cryptography cssselect
cssselect2 cycler cython dask databricks-cli databricks-sdk datadog datasets dateparser dbt-core debugpy decorator
deepdiff defusedxml deprecated diffusers dill distlib distributed distro django django-cors-headers
django-filter djangorestframework dnspython docker docopt docstring-parser docutils dotenv duckdb ecdsa
elasticsearch email-validator et-xmlfile eth-account exceptiongroup execnet executing fabric faker fastai fastapi
fastavro fastjsonschema filelock flake8 flask flask-cors flask-login flask-sqlalchemy flit-core fonttools
freezegun frozenlist fsspec future gensim geopandas gevent gitdb gitpython google-api-core
google-api-python-client google-auth google-auth-oauthlib google-cloud-bigquery google-cloud-core
google-cloud-storage google-genai googleapis-common-protos gradio graphql-core graphviz greenlet grpcio
grpcio-status grpcio-tools gunicorn gym h11 h2 h5py hatchling hiredis hpack html5lib httpcore httplib2 httptools httpx
huggingface-hub humanfriendly humanize hypothesis identify idna ijson imageio importlib-metadata
importlib-resources inflection iniconfig invoke ipykernel ipython ipywidgets isodate isort itsdangerous jaraco-classes
jaraco-context jaraco-functools jax jedi jeepney jinja2 jira jiter jmespath joblib json5 jsonpatch jsonpath-ng
jsonpickle jsonpointer jsonschema jupyter jupyter-client jupyter-core jupyterlab kafka-python keras keyboard keyring
kiwisolver kombu kubernetes langchain langchain-community langchain-core langchain-openai langgraph langsmith
lazy-object-proxy librosa lightgbm litellm llvmlite loguru lxml lz4 mako markdown markdown-it-py markupsafe
marshmallow matplotlib matplotlib-inline mccabe mdurl mistune mkdocs mkdocs-material mlflow mock monotonic
more-itertools moto mpmath msal msgpack msrest multidict multiprocess mypy mypy-extensions mysql-connector-python
mysqlclient narwhals nbclient nbconvert nbformat nest-asyncio networkx nh3 nltk nodeenv notebook nox numba numpy
oauthlib ollama onnx onnxruntime openai opencv-python opencv-python-headless openpyxl opensearch-py
opentelemetry-api opentelemetry-sdk opentelemetry-semantic-conventions optuna oracledb orjson outcome packaging
pandas paramiko parso passlib pathspec patsy peewee pendulum pexpect pillow pip pip-tools pipdeptree pipenv pipx
pkginfo platformdirs playwright plotly pluggy ply poetry poetry-core polars portalocker pre-commit prettytable
prometheus-client prompt-toolkit propcache protobuf psutil psycopg psycopg-binary psycopg2 psycopg2-binary
ptyprocess pure-eval pyarrow pyasn1 pyasn1-modules pyautogui pycodestyle pycparser pycryptodome pycryptodomex
pydantic pydantic-core pydantic-settings pydub pyflakes pygame pygithub pygments pyinstaller pyjwt pylint pymongo
pymssql pymysql pynacl pyodbc pyopenssl pyparsing pypdf pypdf2 pyperclip pyproject-hooks pyqt5 pyserial pysocks
pyspark pytest pytest-asyncio pytest-cov pytest-mock pytest-timeout pytest-xdist python-dateutil python-dotenv
python-jose python-magic python-multipart python-slugify python-telegram-bot pytorch-lightning pytz pywin32 pyyaml
pyzmq qrcode ray rdflib redis referencing regex reportlab requests requests-file requests-mock requests-oauthlib
requests-toolbelt rfc3339-validator rich robotframework rpds-py rsa ruamel-yaml ruff s3fs s3transfer safetensors
scapy scikit-image scikit-learn scipy scrapy seaborn secretstorage selenium semver sentencepiece sentry-sdk
setuptools setuptools-scm shapely shellingham simplejson six smart-open smmap sniffio snowflake-connector-python
snowflake-sqlalchemy sortedcontainers soupsieve spacy sphinx sphinx-rtd-theme sqlalchemy sqlmodel sqlparse
stack-data starlette statsmodels streamlit stripe structlog supervisor sympy tabulate tblib tenacity tensorboard
tensorflow termcolor testcontainers text-unidecode threadpoolctl thrift tiktoken tinycss2 tokenizers toml tomli
tomlkit toolz torch torchaudio torchvision tornado tox tqdm traitlets transformers trio twilio twine typeguard
typer types-requests typing-extensions typing-inspect typing-inspection tzdata tzlocal ujson uritemplate urllib3
uvicorn uvloop virtualenv vllm wandb watchdog watchfiles wcwidth web3 webencodings websocket-client websockets
werkzeug wheel wrapt wtforms xgboost xlrd xlsxwriter xmltodict yapf yarl zeep zipp zope-interface zstandard
"""

_NEIGHBOURS = """
aiofile beautifulsoup bpython cchardet cdflib ctransformers cwcwidth dash dataset distribute django-filer djongo dython
elasticsearch7 elasticsearch8 fabric2 fabric3 fastar futures gqlalchemy grequests gsutil hjson htpy hyper identity
ipytest isal isolate jina jiwer jsonpath jsons markdown2 marko mocker motor ncclient ngboost pamqp parse parsy pathy
pqdm pyaml pygam pylink pymantic pyqt6 pyshark pyte qonnx rtoml scanpy scipp scrypt simpy stqdm tablib tensorboardx
tombi tooz torchx trino uamqp unicorn uri-template usort vyper wand websocket willow xlrd2 yaql
"""
"""Established projects that would otherwise be taken for a slip of one above."""

BUILT_IN: Mapping[NormalizedName, int] = {
    **dict.fromkeys(map(NormalizedName, _NEIGHBOURS.split()), 1_000_000),
    **dict.fromkeys(map(NormalizedName, _NAMES.split()), 1),
}
"""Each with a rank: the first, or one at which no name is compared with it."""
