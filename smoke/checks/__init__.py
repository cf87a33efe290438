"""The check families, one file each: ``run(process, bench)`` yields results and faults as it goes."""
