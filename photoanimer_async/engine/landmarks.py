"""Indices of the 478 face landmarks.

The numbering is that of MediaPipe's attention mesh: 0 to 467 are the face mesh, 468 to 472 the
iris on the left of the picture (centre, then right, top, left and bottom), 473 to 477 the iris on
the right. **Left and right are the sides of the picture, for an upright face**, not the person's.
Each group is a tuple of indices in order along its line.
"""

COUNT = 478
MESH_COUNT = 468

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face, clockwise from the top of the forehead."""

FOREHEAD = 10
CHIN = 152
NOSE_TIP = 4
BETWEEN_BROWS = 9
NOSE_RIDGE = 195
SIDE_LEFT, SIDE_RIGHT = 234, 454
"""The outline beside the ears."""

EYE_LEFT_OUTER, EYE_LEFT_INNER = 33, 133
EYE_RIGHT_OUTER, EYE_RIGHT_INNER = 263, 362

# Eyelids, from the left corner of the eye to the right one, inclusive.
EYE_LEFT_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
EYE_LEFT_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
EYE_RIGHT_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
EYE_RIGHT_LOWER = (362, 382, 381, 380, 374, 373, 390, 249, 263)

IRIS_LEFT = (468, 469, 470, 471, 472)
IRIS_RIGHT = (473, 474, 475, 476, 477)

# Brows, from the outer end to the inner one.
BROW_LEFT_UPPER = (70, 63, 105, 66, 107)
BROW_LEFT_LOWER = (46, 53, 52, 65, 55)
BROW_RIGHT_UPPER = (300, 293, 334, 296, 336)
BROW_RIGHT_LOWER = (276, 283, 282, 295, 285)

# Lips, from the left corner of the mouth to the right one, inclusive.
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_OUTER = (*LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER[-2:0:-1])
LIPS_INNER = (*LIPS_INNER_UPPER, *LIPS_INNER_LOWER[-2:0:-1])
"""The outlines of the lips and of the opening between them, clockwise from the left corner."""
MOUTH_LEFT, MOUTH_RIGHT = 61, 291
LIP_INNER_TOP, LIP_INNER_BOTTOM = 13, 14

CHEEK_LEFT, CHEEK_RIGHT = (50, 101, 205), (280, 330, 425)
"""Points on the cheeks, which show bare skin in most photos."""

FOLD_LEFT, FOLD_RIGHT = (129, 203, 206, 216), (358, 423, 426, 436)
"""The folds of a smile, from the wing of the nose down past the corner of the mouth."""

UNDER_EYE_LEFT, UNDER_EYE_RIGHT = (31, 228, 229, 230, 231), (261, 448, 449, 450, 451)
"""The furrows under the eyes, from the outer end to the inner one."""

# The attention mesh measures lips and eyes again in crops; these are the landmarks that each crop
# replaces, in the order of the model's output.
REFINED_LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
    62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
)  # fmt: skip
REFINED_EYE_LEFT = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110,
    24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232,
    233, 244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118,
    119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
REFINED_EYE_RIGHT = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255,
    339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449,
    450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295,
    372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip
