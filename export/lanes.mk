# A second lane: the tests of export and of its engine side on transformers 5, which optimum-onnx does not support yet.
# The first lane is `make test`, on transformers 4.57 with optimum. Its own environment, so that neither changes the other.

LANE5 := .venv-transformers5
LANE5_PYTHON := $(LANE5)/bin/python
LANE5_STAMP := $(LANE5)/.made-$(firstword $(shell cat pyproject.toml export/lanes.mk | cksum))

.PHONY: test-transformers5
test-transformers5: $(LANE5_STAMP) ## The export tests on transformers 5, without optimum
	$(LANE5_PYTHON) -c 'import transformers; assert transformers.__version__ >= "5", transformers.__version__'
	$(LANE5_PYTHON) -m pytest tests/export tests/engine/test_model_llm.py tests/engine/test_encode.py

$(LANE5_STAMP):
	$(PYTHON) -m venv $(LANE5)
	$(LANE5_PYTHON) -m pip --disable-pip-version-check --no-input install --quiet '$(TORCH)'
	$(LANE5_PYTHON) -m pip --disable-pip-version-check --no-input install --quiet --editable '.[distill,dev]' \
	  'onnx>=1.18' 'onnxscript>=0.5' 'py-minisign>=0.20' 'transformers>=5,<6'
	@touch $@

.PHONY: test-cuda-install
test-cuda-install: ## The swap to onnxruntime-gpu and every wrong state on the way, in an environment of its own
	$(PYTHON) tests/support/cuda_install.py .venv-cuda-install
