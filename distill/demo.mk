# The walk of docs/distillation.md on small models. TASKS names a parquet file of programs to use instead of made-up ones.
DEMO ?= runs/demo-distill

demo-distill: $(FULL) ## Distil small students from a scripted teacher, from a CodeNet folder to a table
	OMP_NUM_THREADS=1 $(BIN)/python tests/support/llm_demo.py --out $(DEMO) $(if $(TASKS),--tasks $(TASKS))

.PHONY: demo-distill
