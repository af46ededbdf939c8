"""Any image: a click on every kind of image, placed and looked at in every way.

A stub takes the model's place and answers with what is bright under the click. Everything else is
what the panel uses: the image is read, the click is carried from its layer over the world into
the plane on screen, and the answer is written into the layer of objects. There, each pixel must
agree with a shape that is known in the world, to half a pixel of the image.

    python -m tests.matrix            # all of it, as tables; writes docs/matrix.md as well
    pytest tests/matrix --whole-matrix
"""
