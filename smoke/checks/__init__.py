"""The check families, one file each: ``run(process, context)`` yields results and faults as it goes."""
