# What every script of this folder begins with. Source it; it runs at build time only.
set -eu
: "${SOURCE_DATE_EPOCH:?}"

# A private index, a proxy and a private CA come as secrets and leave no trace in the layer.
if [ -s /run/secrets/network ]; then set -a; . /run/secrets/network; set +a; fi
if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi

# UV_NO_INSTALLER_METADATA: no file that records when and from where a package came.
export UV_NO_CACHE=1 UV_NO_CONFIG=1 UV_NO_INSTALLER_METADATA=1 UV_PYTHON_DOWNLOADS=never UV_HTTP_TIMEOUT=300
export UV_NO_PROGRESS=1

# uv leaves a lock behind that anybody can write to.
uv() {
  /run/uv/uv "$@"
  rm -f /opt/env/.lock
}

# Byte code, so that imports are not compiled anew in every container. The hash seed makes it the same every time.
byte_compile() {
  PYTHONHASHSEED=0 /opt/env/bin/python -S /run/common/install/byte_compile.py --missing "$1"
}

# Give whatever was made in these folders the one time that all files of an image have.
set_times() {
  find "$@" -xdev -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}
