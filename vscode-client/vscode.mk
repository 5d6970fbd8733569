# The VS Code extension. The Makefile at the top includes this; `make -f vscode-client/vscode.mk TARGET` works, too.
# What is installed for the tests (editors, a browser) lies in EDITORS and is found again by the next run.

CLIENT := vscode-client
EDITORS ?= $(HOME)/.cache/polyclone-editors
VSCODE_VERSIONS ?= 4.100.3 4.139.1
# The Python that builds the bundle, and those that it is for.
BUNDLE_PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
BUNDLE_PYTHONS ?= 3.11 3.12 3.13 3.14
# The server that the tests run.
POLYCLONE_SERVER ?= $(or $(wildcard $(CURDIR)/.venv/bin/polyclone-server),$(shell command -v polyclone-server))
STAGE := $(CLIENT)/out/stage
VSIX_DIR := $(CLIENT)/out/vsix
PLATFORM = $(shell node -p 'process.platform + "-" + process.arch')
TEST_VSIX := $(VSIX_DIR)/test.vsix
NPX := cd $(CLIENT) && npx --no-install

.PHONY: test-vscode lint-vscode unit-vscode editors-vscode vsix vsix-universal vsix-test pictures-vscode

test-vscode: lint-vscode unit-vscode editors-vscode vsix-test ## Unit, host and window tests of the VS Code extension
	POLYCLONE_EDITORS='$(EDITORS)' POLYCLONE_SERVER='$(POLYCLONE_SERVER)' POLYCLONE_VSIX='$(CURDIR)/$(TEST_VSIX)' \
	  node $(CLIENT)/out/harness/run.js $(VSCODE_VERSIONS)

lint-vscode: $(CLIENT)/node_modules/.installed
	$(NPX) tsc --noEmit
	$(NPX) tsc --noEmit -p test

unit-vscode: $(CLIENT)/node_modules/.installed
	cd $(CLIENT) && npm run --silent test:unit
	python3 -m unittest discover -s $(CLIENT)/test/scripts

editors-vscode:
	$(CLIENT)/scripts/install-editors.sh '$(EDITORS)' $(VSCODE_VERSIONS)

# Packed from folders of their own: the tests run the sources, which must not find a bundle.
define stage
rm -rf $(STAGE)/$(1) && mkdir -p $(STAGE)/$(1) $(VSIX_DIR)
cd $(CLIENT) && node scripts/build.mjs --production --outdir out/stage/$(1)/dist
cp -R $(addprefix $(CLIENT)/,package.json README.md CHANGELOG.md LICENSE .vscodeignore media) $(STAGE)/$(1)/
endef
bundle = $(BUNDLE_PYTHON) $(CLIENT)/scripts/bundle_server.py $(STAGE)/$(1)/bundled --platform $(PLATFORM) --pythons $(2)
pack = cd $(STAGE)/$(1) && ../../../node_modules/.bin/vsce package --no-dependencies -o ../../vsix/$(2)

vsix: $(CLIENT)/node_modules/.installed ## The VS Code extension for this platform, with the server inside
	$(call stage,full)
	$(call bundle,full,$(BUNDLE_PYTHONS))
	$(call pack,full) --target $(PLATFORM)
	@ls -l $(VSIX_DIR)

# Without a server, for platforms that have no bundle.
vsix-universal: $(CLIENT)/node_modules/.installed
	$(call stage,universal)
	$(call pack,universal)

# For the tests: with a server for just the Python that is here.
vsix-test: $(CLIENT)/node_modules/.installed
	$(call stage,test)
	$(call bundle,test,"$$($(BUNDLE_PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')")
	$(call pack,test,test.vsix) --target $(PLATFORM)

# The pictures of the documentation. PICTURE_WORKSPACE is a project of several languages, such as ANTLR 4.
pictures-vscode: lint-vscode editors-vscode vsix-test
	cd $(CLIENT) && node scripts/build.mjs --tests
	POLYCLONE_EDITORS='$(EDITORS)' POLYCLONE_SERVER='$(POLYCLONE_SERVER)' POLYCLONE_VSIX='$(CURDIR)/$(TEST_VSIX)' \
	  node $(CLIENT)/out/harness/pictures.js $(PICTURE_WORKSPACE)
	$(BUNDLE_PYTHON) $(CLIENT)/scripts/shrink_pictures.py docs/images/vscode-*.png $(CLIENT)/media/walkthrough/*.png

$(CLIENT)/node_modules/.installed: $(CLIENT)/package-lock.json
	cd $(CLIENT) && npm ci --no-audit --no-fund
	touch $@
