"""One run over many images into one folder: which images, what they are called, what is written, what is done already.

The folder holds what `outputs` writes for each image, ``manifest.jsonl`` with a line for every image that is done
(`manifest`), ``run.json`` with what made the results (`record`), and the files for all images, such as ``coco.json``
(`collect`). `listing` finds the images, one by one, `work` segments them, in this process or in several.
"""
