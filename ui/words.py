"""The page's words in Spanish, for whoever's browser asks for them; the English ones stand where they are used.

Sentences about a person's own pictures, which are made as they go, are in English alone.
"""

from typing import Any

import gradio as gr

SPANISH = {
    "Repaint": "Repintar",
    "Live": "En vivo",
    "Advanced": "Avanzado",
    "Contribute": "Contribuir",
    "About": "Acerca de",
    "<h1>Repaint</h1><p>Your photograph, in the manner of a painting.</p>": (
        "<h1>Repaint</h1><p>Su fotografía, a la manera de un cuadro.</p>"
    ),
    "Photograph": "Fotografía",
    "Drop a photograph here, paste one\nor press to choose": "Suelte aquí una fotografía, péguela\no pulse para elegir",
    "Or try one of these": "O pruebe una de estas",
    "Style": "Estilo",
    "Before and after": "Antes y después",
    "<p><b>Your picture appears here</b>Choose a photograph, or try one of the examples.</p>": (
        "<p><b>Su imagen aparecerá aquí</b>Elija una fotografía o pruebe uno de los ejemplos.</p>"
    ),
    "Copy link": "Copiar enlace",
    "Link copied": "Enlace copiado",
    "Copied, without your style": "Copiado, sin su estilo",
    "No clipboard here": "Sin portapapeles",
    "Download PNG": "Descargar PNG",
    "Strength": "Intensidad",
    "Colours of the": "Colores de",
    "Painting": "Cuadro",
    "Size (longer side, px)": "Tamaño (lado mayor, px)",
    "As it is": "Original",
    "Brush strokes": "Pinceladas",
    "Fine": "Finas",
    "Medium": "Medias",
    "Broad": "Anchas",
    "Bold": "Gruesas",
    "None": "Ninguno",
    "A second style over it": "Un segundo estilo encima",
    "How much of it": "Cuánto de él",
    "Where it shows: choose, or draw on the picture": "Dónde se ve: elija o dibuje en la imagen",
    "Everywhere": "En todas partes",
    "Left": "Izquierda",
    "Right": "Derecha",
    "Top": "Arriba",
    "Bottom": "Abajo",
    "Centre": "Centro",
    "Draw": "Dibujar",
    "Erase": "Borrar",
    "Brush": "Pincel",
    "Undo": "Deshacer",
    "Invert": "Invertir",
    "Your picture, to draw on": "Su imagen, para dibujar en ella",
    "Your last pictures, kept in this browser alone.": "Sus últimas imágenes, guardadas solo en este navegador.",
    "Forget them": "Olvidarlas",
    "A picture of yours": "Una imagen suya",
    "Use its settings": "Usar sus ajustes",
    "Forget it": "Olvidarla",
    "Close": "Cerrar",
    "Your own device paints here, and no picture leaves it.": "Aquí pinta su dispositivo; ninguna imagen sale de él.",
    "The server paints: what the camera sees goes there, and is kept nowhere.": (
        "Pinta el servidor: lo que ve la cámara va allí y no se guarda en ninguna parte."
    ),
    "Painted by": "Pinta",
    "this device": "este dispositivo",
    "the server": "el servidor",
    "by the server": "por el servidor",
    "The server did not answer: try again, or let this device paint.": (
        "El servidor no respondió: pruebe otra vez o deje que pinte este dispositivo."
    ),
    "Start the camera": "Encender la cámara",
    "Choose a photograph": "Elegir una fotografía",
    "Your picture, painted": "Su imagen, pintada",
    "See yourself painted": "Véase pintado",
    "Start the camera, or choose a photograph or drop it here.": (
        "Encienda la cámara, elija una fotografía o suéltela aquí."
    ),
    "The other camera": "La otra cámara",
    "As quick as it can": "Según la rapidez",
    "What paints could not be fetched; try again, or paint on the tab Repaint:": (
        "No se pudo descargar lo que pinta; pruebe otra vez o pinte en la pestaña Repintar:"
    ),
    "This browser has no WebAssembly, which paints here; the tab Repaint needs none.": (
        "Este navegador no tiene WebAssembly, que es lo que pinta aquí; la pestaña Repintar no lo necesita."
    ),
    "Fetching what paints …": "Descargando lo que pinta …",
    "Fetching the style; the first time, it is made ready for you …": (
        "Descargando el estilo; la primera vez hay que prepararlo …"
    ),
    "Painting …": "Pintando …",
    "This device could not do it: choose a smaller size, another style, or the tab Repaint.": (
        "Este dispositivo no pudo: elija un tamaño menor, otro estilo o la pestaña Repintar."
    ),
    "This browser cannot read that file: choose a PNG, JPEG or WebP.": (
        "Este navegador no puede leer ese archivo: elija un PNG, JPEG o WebP."
    ),
    "by this device's processor": "con el procesador de este dispositivo",
    "by this device's graphics chip": "con el chip gráfico de este dispositivo",
    "The camera was not allowed: allow it beside the page's address, and start it again.": (
        "No se permitió la cámara: permítala junto a la dirección de la página y enciéndala otra vez."
    ),
    "This device has no camera: choose a photograph in its place.": (
        "Este dispositivo no tiene cámara: elija una fotografía en su lugar."
    ),
    "The camera is in use elsewhere: close what uses it, and start it again.": (
        "Otro programa usa la cámara: ciérrelo y enciéndala otra vez."
    ),
    "Browsers let only pages on https use a camera: choose a photograph in its place.": (
        "Solo las páginas con https pueden usar la cámara: elija una fotografía en su lugar."
    ),
    "Asking for the camera …": "Pidiendo la cámara …",
    "The camera has gone.": "La cámara se ha desconectado.",
    "frames a second": "imágenes por segundo",
    "behind": "de retraso",
    "Video": "Vídeo",
    "Film": "Película",
    "Paint": "Pintar",
    "Film (MP4)": "Película (MP4)",
    "Your film": "Su película",
    "Styles of the community": "Estilos de la comunidad",
    "First come the": "Primero los",
    "Most liked": "más apreciados",
    "Newest": "más nuevos",
    "Style, artist, repository": "Estilo, artista, repositorio",
    "Drop, paste\nor choose one": "Suelte, pegue\no elija una",
    "Or one of these": "O una de estas",
    "How": "Cómo",
    "Quick look": "Rápido",
    "From noise": "Desde ruido",
    "The paper": "El artículo",
    "Tutorial": "Tutorial",
    "Run": "Empezar",
    "Stop": "Parar",
    "Continue": "Continuar",
    "Picture (PNG)": "Imagen (PNG)",
    "Losses (CSV)": "Pérdidas (CSV)",
    "Steps at most": "Pasos como máximo",
    "Start from": "Comenzar desde",
    "The photograph": "La fotografía",
    "Noise": "Ruido",
    "The painting": "El cuadro",
    "A fast style's picture": "La imagen de un estilo rápido",
    "The fast style": "El estilo rápido",
    "Photograph, exactly": "Fotografía, exactos",
    "Weights, optimiser, network": "Pesos, optimizador, red",
    "Content weight": "Peso del contenido",
    "Style weight": "Peso del estilo",
    "Smoothness (total variation)": "Suavidad (variación total)",
    "Optimiser": "Optimizador",
    "Feature network": "Red de características",
    "Compact, quick": "Compacta, rápida",
    "VGG19, the paper's": "VGG19, la del artículo",
    "Seed of the noise": "Semilla del ruido",
    "More paintings, and where each applies": "Más cuadros, y dónde se aplica cada uno",
}

WORDS = gr.I18n(es=SPANISH)
"""For ``launch``. A browser of any other language finds nothing here, and shows what it looked for: the English."""


def say(words: str) -> Any:
    """Words for a component, which the browser says in its language; not all of Gradio's annotations know of it."""
    assert words in SPANISH, words
    return WORDS(words)
