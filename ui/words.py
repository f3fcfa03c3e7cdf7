"""The page's words in Spanish, for browsers that ask for them; the English ones stand where they are used.

The library's refusals are told in English alone.
"""

from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr

ABOUT = """
A style is a small convolutional network, trained once on a single painting to repaint any photograph in its manner
([Johnson, Alahi and Fei-Fei, 2016](https://arxiv.org/abs/1603.08155), after [Gatys, Ecker and Bethge,
2015](https://arxiv.org/abs/1508.06576)). A single pass through it makes the picture. *Strength* and *Colours* blend
that picture with the photograph without running the network again; keeping the photograph's colours takes only light
and dark from the painting ([Gatys et al., 2016](https://arxiv.org/abs/1606.05897)). A style called *lite* is a network
that does an eighth of the work, for films, cameras and phones.

The *Advanced* tab uses no such network: the optimisation of Gatys et al. changes the picture's own pixels, step by
step, until a network that was trained to recognise things sees the photograph's content and the painting's style in it.
It takes any painting, and about a hundred times as long. The network that looks is one of this project's own: a smaller
VGG19, distilled from the full one.

On the *Live* tab your own device does all the work, with your camera too, and no picture leaves it unless you let the
server paint: then what the camera sees is sent to the server, which does not keep it.

**Your photograph** is kept on this server for about an hour, for you alone, and used for nothing else. The picture you
download is a lossless PNG that carries nothing else but a note of how it was made: drop it here again, and all its
settings return. A link that you copy holds the settings, and no picture. Your last twenty pictures and your settings
are remembered only by your browser, which forgets the pictures when you tell it to. It also keeps what you choose, for
a day at most, and puts it back in its place when the page is reloaded in the same tab, unless you remove it.

**From a program**, the endpoints `/stylize`, `/optimize` and `/styles` do the same: see *Use via API* at the foot of
the page, on a wide enough screen.
"""

LOSSES = """
**Content** measures how far what the feature network sees in the picture is from what it sees in the photograph, place
by place. **Style** measures how far the picture is from the painting in which features occur together, wherever they
do: it compares their Gram matrices, layer by layer (*A layer …* draws the curve of one). **Smoothness** measures how
much neighbouring pixels differ, if that has a weight. **Total** is the sum of the three, which the optimiser lowers.

Each is shown multiplied by its weight: to compare runs with different weights, divide by these. With *Quick look* and
*From noise*, content and style before weighting are 1 where the picture is as far off as if the network saw nothing at
all, and 0 where it sees exactly the same. With *The paper*, *Neural-style* and *Tutorial* they are mean squares, of
which only the trend means anything. The scale is logarithmic: the same distance down always divides by the same factor.
At a dotted line the picture grows.
"""

SPANISH = {
    LOSSES: """
**Contenido** es lo lejos que está lo que la red de características ve en la imagen de lo que ve en la fotografía,
sitio por sitio. **Estilo** es lo lejos que está la imagen del cuadro en qué características aparecen juntas, estén
donde estén: sus matrices de Gram, capa por capa (*Una capa …* dibuja la curva de una). **Suavidad** es en lo que
difieren los píxeles vecinos, si eso tiene peso. **Total** es la suma de las tres, que es lo que el optimizador reduce.

Cada una se muestra multiplicada por su peso: para comparar pruebas de pesos distintos hay que dividir por ellos. Con
*Rápido* y *Desde ruido*, contenido y estilo sin sus pesos son 1 cuando la imagen está tan lejos como si la red no
viera nada, y 0 cuando ve exactamente lo mismo. Con *El artículo*, *Neural-style* y *Tutorial* son medias de cuadrados,
de las que solo dice algo su evolución. La escala es logarítmica: bajar otro tanto es dividir por lo mismo. En una
línea de puntos la imagen crece.
""",
    ABOUT: """
Un estilo es una pequeña red convolucional, entrenada una sola vez con un cuadro para repintar cualquier fotografía a su
manera ([Johnson, Alahi y Fei-Fei, 2016](https://arxiv.org/abs/1603.08155), según
[Gatys, Ecker y Bethge, 2015](https://arxiv.org/abs/1508.06576)). De un solo paso por ella sale la imagen. *Intensidad*
y *Colores* mezclan esa imagen con la fotografía y no necesitan otra vez la red; con los colores de la fotografía pasan
del cuadro solo la luz y la sombra ([Gatys et al., 2016](https://arxiv.org/abs/1606.05897)). Un estilo que se llama
*lite* es una red con la octava parte del trabajo, para películas, cámaras y teléfonos.

En la pestaña *Avanzado* no hay tal red: la optimización de Gatys et al. cambia los píxeles de la propia imagen, paso a
paso, hasta que una red entrenada para reconocer cosas ve en ella el contenido de la fotografía y el estilo del cuadro.
Admite cualquier cuadro y tarda cien veces más. La red que mira es de este proyecto: una VGG19 más pequeña, destilada de
la completa.

En la pestaña *En vivo* lo hace todo su propio dispositivo, también con la cámara, y ninguna imagen sale de él, salvo
que usted deje pintar al servidor: entonces lo que ve la cámara va allí y no se guarda en ninguna parte.

**Su fotografía** queda en este servidor una hora más o menos, solo para usted, y no se usa para nada más. La imagen que
descarga es un PNG sin pérdidas que no contiene nada más que cómo se hizo: si lo suelta aquí otra vez, todo queda
ajustado así. Un enlace que copie lleva los ajustes y ninguna imagen. Sus últimas veinte imágenes y sus ajustes los
recuerda solo su navegador, que olvida las imágenes cuando usted lo diga. También guarda, un día como mucho, lo que
usted elige, que vuelve a estar en su sitio cuando la página se carga de nuevo en la misma pestaña, si no lo quita.

**Desde un programa**, `/stylize`, `/optimize` y `/styles` hacen lo mismo: vea *Usar vía API* al pie de la página, en
una pantalla bastante ancha.
""",
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
    "Remove Image": "Quitar la imagen",
    "Fullscreen": "Pantalla completa",
    "Exit fullscreen mode": "Salir de la pantalla completa",
    "Before and after": "Antes y después",
    "Before": "Antes",
    "After": "Después",
    "<p><b>Your picture appears here</b><span class='idle'>Choose a photograph, or try one of the examples.</span>"
    "<span class='busy'>It is being painted.</span></p>": (
        "<p><b>Su imagen aparecerá aquí</b><span class='idle'>Elija una fotografía o pruebe uno de los ejemplos.</span>"
        "<span class='busy'>Se está pintando.</span></p>"
    ),
    "painted in": "pintado en",
    "On your own computer, where the style’s folder is:": "En su propio equipo, con la carpeta del estilo a mano:",
    "<p>Styles that people have shared on the Hugging Face Hub with the tag <code>nst-style</code>. Nobody has "
    "reviewed them; their weights go through the same checks as all others and are downloaded when you choose "
    "one.</p>": (
        "<p>Estilos que la gente compartió en el Hugging Face Hub con la etiqueta <code>nst-style</code>. Nadie los ha "
        "revisado; sus pesos pasan por el mismo control que todos y se descargan cuando usted elige uno.</p>"
    ),
    "the style’s licence:": "licencia del estilo:",
    "Link to settings": "Enlace a los ajustes",
    "Share": "Compartir",
    "Could not share": "No se pudo compartir",
    ", the largest this server paints": ", lo máximo que pinta este servidor",
    "Link copied": "Enlace copiado",
    "Copied, without your style": "Copiado, sin su estilo",
    "Could not copy": "No se pudo copiar",
    "Download PNG": "Descargar PNG",
    "Strength": "Intensidad",
    "Colours of the": "Colores de",
    "Painting": "Cuadro",
    "Size (longer side, px)": "Tamaño (lado mayor, px)",
    "Original": "Original",
    "Brush strokes": "Pinceladas",
    "Fine": "Finas",
    "Medium": "Medias",
    "Broad": "Anchas",
    "Bold": "Gruesas",
    "None": "Ninguno",
    "A second style on top": "Un segundo estilo encima",
    "How much of it": "Cuánto de él",
    "Where it shows": "Dónde se ve",
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
    "As drawn": "Como se dibujó",
    "Your picture, to draw on": "Su imagen, para dibujar en ella",
    "Your latest pictures, kept only in this browser.": "Sus últimas imágenes, guardadas solo en este navegador.",
    "Forget them": "Olvidarlas",
    "All of them?": "¿Todas?",
    "One of your pictures": "Una imagen suya",
    "Use its settings": "Usar sus ajustes",
    "Forget it": "Olvidarla",
    "Close": "Cerrar",
    "Your own device paints here, and no picture leaves it.": "Aquí pinta su dispositivo; ninguna imagen sale de él.",
    "The server paints: what the camera sees is sent there and not kept.": (
        "Pinta el servidor: lo que ve la cámara va allí y no se guarda en ninguna parte."
    ),
    "Only the quick styles work with the camera.": "La cámara se pinta solo con los estilos rápidos.",
    "That is not a picture: use a PNG, JPEG, HEIC, WebP, AVIF, TIFF, BMP or GIF file.": (
        "Eso no es una imagen: use un archivo PNG, JPEG, HEIC, WebP, AVIF, TIFF, BMP o GIF."
    ),
    "That is a film: films are painted on the tab Video.": (
        "Eso es una película: las películas se pintan en la pestaña Vídeo."
    ),
    "That is a picture: pictures are painted on the tab Repaint.": (
        "Eso es una imagen: las imágenes se pintan en la pestaña Repintar."
    ),
    "Firefox does not pass on pictures from pages: copy the picture there, and paste it here.": (
        "Firefox no entrega imágenes de páginas: copie allí la imagen y péguela aquí."
    ),
    "That is a folder: drop a single file.": "Eso es una carpeta: suelte un solo archivo.",
    "That is a folder: make a .zip file of it, and drop that.": (
        "Eso es una carpeta: haga de ella un archivo .zip y suéltelo."
    ),
    "That is not a style: use its weights (.safetensors), or its folder as a .zip file.": (
        "Eso no es un estilo: use sus pesos (.safetensors) o su carpeta en un archivo .zip."
    ),
    "That file is too large: the limit is 64 MB.": "Ese archivo es demasiado grande: el límite es de 64 MB.",
    "That file is no longer on the server, which keeps files for an hour: make it again.": (
        "Ese archivo ya no está en el servidor, que guarda los archivos una hora: vuelva a crearlo."
    ),
    "Find a style by title, artist or tag": "Buscar un estilo por título, artista o etiqueta",
    "Styles found:": "Estilos encontrados:",
    "no preview here.": "aquí no hay vista previa.",
    "That is not a film: use an MP4, MOV, MKV, WebM or GIF file.": (
        "Eso no es una película: use un archivo MP4, MOV, MKV, WebM o GIF."
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
    "Switch camera": "Cambiar de cámara",
    "Automatic, for speed": "Automático, según la velocidad",
    "The painting program could not be downloaded: try again, or use the Repaint tab.": (
        "No se pudo descargar el programa que pinta: pruebe otra vez o use la pestaña Repintar."
    ),
    "The painting program could not be downloaded: try again, or let the server paint.": (
        "No se pudo descargar el programa que pinta: pruebe otra vez o deje que pinte el servidor."
    ),
    "Painting here needs WebAssembly, which this browser lacks: use the Repaint tab.": (
        "Pintar aquí requiere WebAssembly, que este navegador no tiene: use la pestaña Repintar."
    ),
    "This browser hides from pages what they draw: use the Repaint tab.": (
        "Este navegador oculta a las páginas lo que ellas dibujan: use la pestaña Repintar."
    ),
    "Downloading the painting program …": "Descargando el programa que pinta …",
    "Downloading the style; the first time, it has to be prepared …": (
        "Descargando el estilo; la primera vez hay que prepararlo …"
    ),
    "Painting …": "Pintando …",
    "This device could not paint it: choose a smaller size, another style, or the Repaint tab.": (
        "Este dispositivo no pudo pintarla: elija un tamaño menor, otro estilo o la pestaña Repintar."
    ),
    "This browser cannot read that file: choose a PNG, JPEG or WebP.": (
        "Este navegador no puede leer ese archivo: elija un PNG, JPEG o WebP."
    ),
    "by this device's processor": "con el procesador de este dispositivo",
    "by this device's graphics chip": "con el chip gráfico de este dispositivo",
    "Camera access was denied: allow it next to the page's address, then start the camera again.": (
        "Se denegó el acceso a la cámara: permítalo junto a la dirección de la página y enciéndala otra vez."
    ),
    "This device has no camera: choose a photograph instead.": (
        "Este dispositivo no tiene cámara: elija una fotografía en su lugar."
    ),
    "Another program is using the camera: close it, then start the camera again.": (
        "Otro programa usa la cámara: ciérrelo y enciéndala otra vez."
    ),
    "Browsers allow only https pages to use a camera: choose a photograph instead.": (
        "Solo las páginas con https pueden usar la cámara: elija una fotografía en su lugar."
    ),
    "Asking for access to the camera …": "Pidiendo acceso a la cámara …",
    "The camera is off: you left this tab.": "La cámara está apagada: dejó esta pestaña.",
    "Turn the camera off": "Apagar la cámara",
    "The camera is off.": "La cámara está apagada.",
    "Take the picture": "Tomar la foto",
    "The camera was disconnected.": "La cámara se ha desconectado.",
    "frames a second": "imágenes por segundo",
    "behind": "de retraso",
    "Video": "Vídeo",
    "Film": "Película",
    "Paint": "Pintar",
    "Film (MP4)": "Película (MP4)",
    "Previous film": "La película anterior",
    "Previous film (MP4)": "La película anterior (MP4)",
    "Last finished film (MP4)": "La última película terminada (MP4)",
    "Your film": "Su película",
    "The film being painted goes on as it began: to start over, press Stop, and then Paint.": (
        "La película que se está pintando sigue como empezó: para empezar de nuevo, pulse Parar y después Pintar."
    ),
    "Community styles": "Estilos de la comunidad",
    "community, unreviewed": "de la comunidad, sin revisar",
    "your own, seen only by you": "suyo, solo usted lo ve",
    "There are none yet.": "Todavía no hay ninguno.",
    " by {}": " de {}",
    "no licence": "sin licencia",
    "Your style": "Su estilo",
    "It can be used.": "Se puede usar.",
    "It cannot be used as it is.": "Tal como está no se puede usar.",
    "Published as {}.": "Publicado como {}.",
    "a pull request": "una solicitud de cambios (pull request)",
    "Proposed for the gallery in {}.": "Propuesto para la galería en {}.",
    "Everybody can use it with the link {}.": "Todo el mundo puede usarlo con el enlace {}.",
    "Until it is merged, everybody can use it with the link {}.": (
        "Hasta que se acepte, todo el mundo puede usarlo con el enlace {}."
    ),
    "Sort by": "Ordenar por",
    "Most liked": "Más apreciados",
    "Newest": "Más recientes",
    "Style, artist, repository": "Estilo, artista, repositorio",
    "Drop, paste\nor choose": "Suelte, pegue\no elija",
    "Drop or choose": "Suelte o elija",
    "Or one of these": "O una de estas",
    "How": "Cómo",
    "Quick look": "Rápido",
    "From noise": "Desde ruido",
    "The paper": "El artículo",
    "Neural-style": "Neural-style",
    "Tutorial": "Tutorial",
    "Run": "Empezar",
    "Stop": "Parar",
    "Continue": "Continuar",
    "Continue keeps the settings this run started with; Run starts over with the new ones.": (
        "Continuar conserva los ajustes con los que empezó; Empezar comienza de nuevo con los nuevos."
    ),
    "Picture (PNG)": "Imagen (PNG)",
    "Losses (CSV)": "Pérdidas (CSV)",
    "Maximum steps": "Pasos como máximo",
    "Start from": "Comenzar desde",
    "The photograph": "La fotografía",
    "Noise": "Ruido",
    "The painting": "El cuadro",
    "A fast style's picture": "La imagen de un estilo rápido",
    "The fast style": "El estilo rápido",
    "Photograph, roughly": "Fotografía, parecidos",
    "Weights, optimiser, network, layers": "Pesos, optimizador, red, capas",
    "Content layers": "Capas del contenido",
    "Style layers": "Capas del estilo",
    "conv1_1 to conv5_4, or relu…; conv4_1=0.5 halves a layer's weight.": (
        "De conv1_1 a conv5_4, o relu…; conv4_1=0.5 reduce a la mitad el peso de una capa."
    ),
    "What the losses mean": "Qué significan las pérdidas",
    "Content weight": "Peso del contenido",
    "Style weight": "Peso del estilo",
    "Smoothness (total variation)": "Suavidad (variación total)",
    "Optimiser": "Optimizador",
    "Feature network": "Red de características",
    "Compact, quick": "Compacta, rápida",
    "VGG19, the paper's": "VGG19, la del artículo",
    "Seed of the noise": "Semilla del ruido",
    "Repaints the photograph from coarse to fine: the quickest way to a picture.": (
        "Repinta la fotografía de lo grueso a lo fino: es lo que antes da una imagen."
    ),
    "The same, but starting from random dots: the most to watch.": (
        "Lo mismo, pero a partir de puntos al azar: es lo que más da que ver."
    ),
    "From noise, with the layers that Gatys, Ecker and Bethge used in 2015; takes its time.": (
        "Desde ruido, con las capas que Gatys, Ecker y Bethge usaron en 2015; lleva su tiempo."
    ),
    "As in jcjohnson's neural-style: from noise, with a weight on smoothness; takes the longest.": (
        "Como en neural-style, de jcjohnson: desde ruido, con un peso en la suavidad; es lo que más tarda."
    ),
    "As in PyTorch's tutorial: shallow layers and a heavy weight on style.": (
        "Como en el tutorial de PyTorch: capas poco profundas y mucho peso en el estilo."
    ),
    "{size} px, at most {steps} of {optimizer} from {start}; {more}. <b>Up to about {time}</b> on this machine "
    "at its current load, less if the losses stop falling.": (
        "{size} px, como máximo {steps} de {optimizer} desde {start}; {more}. <b>Hasta unos {time}</b> en esta "
        "máquina con su carga actual; menos, si las pérdidas dejan de bajar."
    ),
    "{other} in place of {layer}": "{other} en lugar de {layer}",
    "over up to {} sizes, from coarse to fine": "en hasta {} tamaños, de grueso a fino",
    "content {content:g} to style {style:g}": "contenido {content:g} frente a estilo {style:g}",
    "smoothness {:g}": "suavidad {:g}",
    "in the photograph’s colours": "con los colores de la fotografía",
    "in colours like the photograph’s": "con colores parecidos a los de la fotografía",
    "More paintings, and where each applies": "Más cuadros, y dónde se aplica cada uno",
    "A mask is white where its painting applies and black elsewhere; without one, the painting applies everywhere.": (
        "Una máscara es blanca donde se aplica su cuadro y negra en lo demás; sin ella se aplica en todas partes."
    ),
    "Painting 2": "Cuadro 2",
    "Painting 3": "Cuadro 3",
    "Painting 4": "Cuadro 4",
    "Mask": "Máscara",
    "Its weight": "Su peso",
    "Mask for the painting above": "Máscara del cuadro de arriba",
    "Weight of the painting above": "Peso del cuadro de arriba",
    "<b>Watch a picture being painted</b>Choose a photograph and a painting, then press Run.<br>The losses are "
    "plotted below as they fall.": (
        "<b>Vea cómo se pinta una imagen</b>Elija una fotografía y un cuadro y pulse Empezar.<br>Abajo se dibujan las "
        "pérdidas mientras bajan."
    ),
    "<b>Watch a film being painted</b>Choose a film: its first frame is painted straight away.<br>The rest, and the "
    "sound, follow when you press Paint.": (
        "<b>Vea cómo se pinta una película</b>Elija una película: su primera imagen se pinta enseguida.<br>Las demás, "
        "y el sonido, siguen cuando pulse Pintar."
    ),
    "Preparing the feature network and the pictures …": "Preparando la red de características y las imágenes …",
    "Examining the film …": "Examinando la película …",
    "Measuring the speed …": "Midiendo la velocidad …",
    "measuring the speed": "midiendo la velocidad",
    "Continuing …": "Continuando …",
    "Saving the style …": "Guardando el estilo …",
    "Downloading the style from the Hugging Face Hub …": "Descargando el estilo del Hugging Face Hub …",
    "{}": "{}",
    "{} × {} px": "{} × {} px",
    "Step {} of at most {}": "Paso {} de {} como máximo",
    "Step {} of {}": "Paso {} de {}",
    "Frame {} of {}": "Fotograma {} de {}",
    "Frame {}": "Fotograma {}",
    "{} a second": "{} por segundo",
    "about {} left": "faltan unos {}",
    "at most {}": "como máximo {}",
    "painting all of them takes about {}": "pintarlos todos lleva unos {}",
    "the first of {} frames": "el primero de {} fotogramas",
    "the first frame": "el primer fotograma",
    "only the first {} of its {} can be painted in {}": "solo los primeros {} de sus {} se pueden pintar en {}",
    "only the first {} of its {} can be painted in {}; at {} px, all of it": (
        "solo los primeros {} de sus {} se pueden pintar en {}; a {} px, todo"
    ),
    "Finished": "Terminado",
    "Finished: the losses have all but stopped falling": "Terminado: las pérdidas apenas bajan ya",
    "Stopped": "Parado",
    "Stopped before it began": "Parado antes de empezar",
    "Stopped: others may be waiting": "Parado: puede que otros esperen",
    "Ended: its time was up": "Terminado: se acabó su tiempo",
    "Ended at step {}, without a style": "Terminado en el paso {}, sin un estilo",
    "{} steps": "{} pasos",
    "1 step": "1 paso",
    "{} of {} steps": "{} de {} pasos",
    "1 frame": "1 fotograma",
    "{} frames": "{} fotogramas",
    "sound converted to AAC": "sonido convertido a AAC",
    "Your earlier request comes first": "Primero va su petición anterior",
    "1 person is ahead of you": "Hay 1 persona antes que usted",
    "{} people are ahead of you": "Hay {} personas antes que usted",
    "{} % painted, about {} s left": "{} % pintado, faltan unos {} s",
    "The settings are now those this picture was made with: drop a photograph to paint it the same way.": (
        "Los ajustes son ahora los de esta imagen: suelte una fotografía para pintarla igual."
    ),
    "That picture was painted in a private style, which pictures do not name: the chosen style stays.": (
        "Esa imagen se pintó con un estilo privado, que las imágenes no nombran: se mantiene el elegido."
    ),
    "You are in the queue": "Está en la cola",
    "Somebody else is ahead of you; you are next.": "Hay otra persona antes que usted; después va usted.",
    "At most {} people are ahead of you.": "Hay como mucho {} personas antes que usted.",
    "Press Stop to leave the queue.": "Pulse Parar para salir de la cola.",
    "<b>One moment</b>The first picture is on its way.": "<b>Un momento</b>La primera imagen está en camino.",
    "Picture at step": "Imagen en el paso",
    "Frame": "Fotograma",
    "Losses by step, on a log scale": "Pérdidas por paso, en escala logarítmica",
    "Show or hide this curve": "Mostrar u ocultar esta curva",
    "The curve of a layer": "La curva de una capa",
    "A layer …": "Una capa …",
    "Previous run": "La prueba anterior",
    "Its curves are dashed; press to see its last picture, and again for this run's": (
        "Sus curvas son discontinuas; pulse para ver su última imagen, y otra vez para ver la de esta"
    ),
    "Step": "Paso",
    "Total": "Total",
    "Content": "Contenido",
    "Smoothness": "Suavidad",
    "<b>Watch a network learn to paint</b>Choose a painting, then press Train.<br>As it learns, the losses are "
    "plotted below and a photograph is repainted.": (
        "<b>Vea cómo una red aprende a pintar</b>Elija un cuadro y pulse Entrenar.<br>Mientras aprende, abajo se "
        "dibujan las pérdidas y se repinta una fotografía."
    ),
    "Train a style of your own": "Entrenar un estilo propio",
    "A network that can already paint is trained further until it paints like a picture of your choice: most "
    "paintings are recognisable after a few hundred steps. The style is yours to download and, for an hour or until "
    "you leave this page, to paint with on *Repaint* and *Video*. To use it later, drop the download on "
    "*Contribute*, or give it to `nst_core`.": (
        "Una red que ya pinta se sigue entrenando hasta que pinta como el cuadro que usted elija: la mayoría se "
        "reconoce bien al cabo de unos cientos de pasos. El estilo es suyo: puede descargarlo y, durante una hora o "
        "hasta que salga de esta página, pintar con él en *Repintar* y *Vídeo*; si suelta la descarga en *Contribuir*, "
        "vuelve a estar ahí. También lo admite `nst_core`."
    ),
    "A network that can already paint is trained further until it paints like a picture of your choice. This server "
    "does not do that: it lacks a GPU, or photographs to learn from. On your own computer 1200 steps take half an "
    "hour on two processor cores and need a folder of photographs of anything; a thousand are enough. In a checkout "
    "of this project, with your picture as `painting.jpg`:": (
        "Una red que ya pinta se sigue entrenando hasta que pinta como el cuadro que usted elija. Este servidor no lo "
        "hace: le falta una GPU, o fotografías con las que aprender. En su propio ordenador 1200 pasos llevan "
        "media hora con dos núcleos, y hace falta una carpeta con fotografías de lo que sea; "
        "bastan mil. En una copia de este proyecto, con el cuadro en `painting.jpg`:"
    ),
    "Command": "Comando",
    "Title": "Título",
    "My style": "Mi estilo",
    "Start with the network of": "Comenzar con la red de",
    "Higher values keep more of the photograph.": "Cuanto mayor, más se conserva de la fotografía.",
    "Style size (px)": "Tamaño del estilo (px)",
    "The size at which the painting is studied: larger gives larger strokes.": (
        "El tamaño al que se estudia el cuadro: cuanto mayor, más grandes las pinceladas."
    ),
    "Maximum minutes": "Minutos como máximo",
    "As many steps are taken as fit into this time.": "Se dan tantos pasos como quepan en ese tiempo.",
    "Train": "Entrenar",
    "Style (ZIP)": "Estilo (ZIP)",
    "Previous style (ZIP)": "El estilo anterior (ZIP)",
    "Use it on Repaint and Video": "Usarlo en Repintar y Vídeo",
    "Try it on a photograph": "Pruébelo con una fotografía",
    "<p>Have you trained a style, on the <i>Advanced</i> tab or with <code>python -m nst_core train</code>? Drop its "
    "<code>model.safetensors</code> here, or its folder as a zip. Once it has been checked, you can try it until you "
    "leave or reload this page, for an hour at most; nobody else sees it. If you like, publish it for everybody.</p>": (
        "<p>Ha entrenado un estilo, en la pestaña <i>Avanzado</i> o con <code>python -m nst_core train</code>: suelte "
        "aquí su <code>model.safetensors</code>, o su carpeta en un zip. Se examina y después puede probarlo hasta que "
        "salga de esta página o la recargue, una hora como máximo; nadie más lo ve. Si quiere, publíquelo para "
        "todos.</p>"
    ),
    "<tr><th>Title, painting</th><th>Artist</th><th>The style’s licence</th></tr>": (
        "<tr><th>Título, cuadro</th><th>Autor</th><th>Licencia del estilo</th></tr>"
    ),
    "model.safetensors, or a folder as .zip": "model.safetensors, o una carpeta en .zip",
    "<p>What your style paints will appear here, along with what it takes to publish it.</p>": (
        "<p>Aquí aparecerá lo que pinta su estilo, y lo necesario para publicarlo.</p>"
    ),
    "What it paints": "Lo que pinta",
    "Try it on your own photograph": "Probarlo con su fotografía",
    "<h3>Publish it</h3>": "<h3>Publicarlo</h3>",
    "Artist of the picture": "Autor del cuadro",
    "Licence": "Licencia",
    "Repository": "Repositorio",
    "I made this style or may publish it, and the picture it was trained on is in the public domain or I have the "
    "right to use it.": (
        "He hecho este estilo o puedo publicarlo, y el cuadro con el que se entrenó es de dominio público o tengo "
        "derecho a usarlo."
    ),
    "Publish": "Publicar",
    "common.complete": "Listo",
}


def translator_for(request: gr.Request) -> Callable[[str], str]:
    """A function that translates English words for a browser, where the server makes the sentence."""
    spanish = request.headers.get("accept-language", "").startswith("es")
    return SPANISH.__getitem__ if spanish else str


WORDS = gr.I18n(en={"common.complete": "Done"}, es=SPANISH)
"""For ``launch``. A browser of any other language finds nothing here, and shows what it looked for: the English.
Gradio itself lacks the words that it reads out when something is done."""


def say(words: str) -> Any:
    """Words for a component, which the browser translates; not all of Gradio's annotations know of that."""
    assert words in SPANISH, words
    return WORDS(words)


Phrase = tuple[Any, ...]
"""Words with ``{}`` in them, for which there is Spanish, and the values that go there."""


def phrase(words: str, *values: object) -> Phrase:
    """Something that is said as it happens, in a language that is known later."""
    assert words in SPANISH, words
    return words, *values


def counted(one: str, several: str, count: int) -> Phrase:
    """The phrase for one thing, or the one for several, with their number in it."""
    return phrase(one) if count == 1 else phrase(several, count)


def spoken(phrases: Iterable[Phrase], translate: Callable[[str], str] = str) -> str:
    """The phrases as one text, in English or as ``translate`` translates them."""
    return " · ".join(translate(words).format(*values) for words, *values in phrases)
