# Short names; scripts/ and CMakePresets.json hold the substance.
.PHONY: all dev check torture tsan clang golden bench explain format tidy clean

all: ; scripts/build
dev:
	cmake --preset dev
	cmake --build --preset dev
	ctest --test-dir build-dev -j2 --output-on-failure --stop-on-failure
check: ; scripts/test --ci
golden:
	ATH_GOLDEN=write ctest --test-dir build-dev -R '^test_(plan|job)$$'
	git diff --stat tests/golden docs
torture tsan clang: ; scripts/test --$@
bench:
	cmake --preset release
	cmake --build --preset release --target step opcheck
	build/bench/step $(ARGS)
	build/tests/ops/opcheck --mode perf --list sd15
explain:
	cmake --preset release
	cmake --build --preset release --target step
	build/bench/step --explain $(ARGS)
format: ; tools/check_format --fix
tidy: ; tools/check_tidy
clean: ; rm -rf build build-*
